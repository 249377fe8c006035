"""The base of everything a person writes in a study file."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]
"""Letters, digits, `_` and `-`, beginning with a letter; at most 64."""


class Spec(BaseModel):
    """Frozen, comparable, and strict: an unknown key is an error that lists the known ones, and `true` is no number."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise unknown(f"key {str(key)[:64]!r}", str(key), list(cls.model_fields))
            # Files have lists, frozen specs have tuples.
            return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return data


def unknown(what: str, name: str, allowed: list[str]) -> PydanticCustomError:
    """The error for a name that is none of `allowed`, with the closest of them."""
    close = get_close_matches(name, allowed, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    # The message is a template to pydantic: what the user wrote travels as a value, never as part of it.
    return PydanticCustomError(
        "unknown_name",
        "unknown {what}; allowed: {allowed}{meant}",
        {"what": what, "allowed": ", ".join(allowed), "meant": meant},
    )
