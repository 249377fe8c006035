"""Turns pydantic's account of what is wrong with a file into lines a person can act on, one per mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

SHOWN = 80
"""Characters of a wrong value that a message repeats."""


def explain(error: ValidationError, data: Any, prefix: str = "") -> list[str]:
    """`path: what is wrong` for every mistake in `data`, the path as the file writes it, below `prefix`."""
    return [_line(detail, data, prefix) for detail in error.errors(include_url=False)]


def _line(detail: Mapping[str, Any], data: Any, prefix: str) -> str:
    path = ".".join(part for part in (prefix, _path(detail, data)) if part)
    return f"{path}: {_what(detail)}" if path else _what(detail)


def _path(detail: Mapping[str, Any], data: Any) -> str:
    # pydantic puts the chosen member of a union into the path; the file has no table of that name, so it's left out.
    parts = []
    for part in detail["loc"]:
        if part in (range(len(data)) if isinstance(data, list) else data if isinstance(data, dict) else ()):
            data = data[part]
        elif detail["type"] != "missing" or part != detail["loc"][-1]:
            continue
        parts.append(quoted(str(part)))
    return ".".join(parts)


def quoted(key: str) -> str:
    """A key as TOML writes it, and not too long."""
    bare = key.replace("_", "").replace("-", "").isalnum() and key.isascii()
    return key if bare and len(key) <= SHOWN else json.dumps(key[:SHOWN])


def _what(detail: Mapping[str, Any]) -> str:
    context = detail.get("ctx", {})
    given = detail["input"]
    match detail["type"]:
        case "union_tag_invalid":
            allowed = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
            close = get_close_matches(str(context["tag"]), allowed, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            return f"unknown kind {shown(context['tag'])}; allowed: {', '.join(allowed)}{meant}"
        case "union_tag_not_found":
            return 'a table with a kind is needed, such as { kind = "…" }' + f", not {shown(given)}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"a table {{ … }} is needed, not {shown(given)}"
        case "tuple_type":
            return f"a list [ … ] is needed, not {shown(given)}"
        case "too_short":
            return f"needs at least {context['min_length']} item(s), not {context['actual_length']}"
        case "too_long":
            return f"at most {context['max_length']} items are allowed, not {context['actual_length']}"
        case "missing":
            return "missing; it has no default"
        case "unknown_name":
            return str(detail["msg"])
        case "value_error":
            return str(context["error"])
        case _:
            message = str(detail["msg"])
            return f"{message[:1].lower()}{message[1:]}, not {shown(given)}"


def shown(value: Any) -> str:
    """A value as a message repeats it: on one line, and not too long."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
