"""The base of everything a person writes in a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from hpo.words.suggest import did_you_mean, nearest

LONGEST_NAME = 64
"""Characters of a name."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=LONGEST_NAME)]
"""Letters, digits, `_` and `-`, beginning with a letter; at most 64."""


class Spec(BaseModel):
    """Frozen, comparable, and strict: an unknown key is an error that lists the known ones; `true` is not a number."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="wrap")
    @classmethod
    def _only_known_keys(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """The model of a table; its unknown keys are told together with whatever else is wrong in it."""
        if not isinstance(data, dict):
            return handler(data)
        # Files have lists, frozen specs have tuples.
        known = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in data.items()
            if key in cls.model_fields
        }
        if len(known) == len(data):
            return handler(known)
        allowed = list(cls.model_fields)
        unknown = [str(key) for key in data if key not in known]
        mistakes = [_unknown_key(key, allowed) for key in unknown]
        try:
            handler(known)
        except ValidationError as error:
            told = [("missing", (nearest(key, allowed),)) for key in unknown]  # as what was meant
            details = error.errors(include_url=False)
            mistakes += [_again(detail) for detail in details if (detail["type"], detail["loc"]) not in told]
        raise ValidationError.from_exception_data(cls.__name__, mistakes)


def _unknown_key(key: str, allowed: list[str]) -> InitErrorDetails:
    # The message is a template to pydantic: what the user wrote travels as a value, never as part of it.
    error = PydanticCustomError(
        "unknown_key",
        "unknown key {shown}; allowed: {names}{meant}",
        {
            "key": key,
            "allowed": allowed,
            "shown": repr(key[:64]),
            "names": ", ".join(allowed),
            "meant": did_you_mean(key, allowed),
        },
    )
    return {"type": error, "input": key}


def _again(detail: Mapping[str, Any]) -> InitErrorDetails:
    """Make an error again, to be raised with others."""
    context = detail.get("ctx", {}) | {"message": detail["msg"]}
    error = PydanticCustomError(detail["type"], "{message}", context)
    return {"type": error, "loc": detail["loc"], "input": detail["input"]}
