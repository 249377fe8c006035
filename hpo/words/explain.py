"""Turns pydantic's account of what is wrong with a file into lines a person can act on, one per mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from hpo.words.places import Path, Places
from hpo.words.suggest import LIKELY, NEARLY_SURE, did_you_mean

SHOWN = 80
"""Characters of a wrong value that a message repeats."""


NOWHERE = Places()


def explain(error: ValidationError, data: Any, prefix: str = "", places: Places = NOWHERE) -> list[str]:
    """`path: what is wrong` for every mistake in `data`, the path as the file writes it, below `prefix`.

    `places` tells of an unknown key where it belongs.
    """
    return [_line(detail, data, prefix, places) for detail in error.errors(include_url=False)]


def _line(detail: Mapping[str, Any], data: Any, prefix: str, places: Places) -> str:
    keys = _keys(detail, data)
    path = ".".join(part for part in (prefix, *map(quoted, keys)) if part)
    above = prefix.split(".") if prefix else []
    what = _what(detail, (*above, *keys), places)
    return f"{path}: {what}" if path else what


def _keys(detail: Mapping[str, Any], data: Any) -> Path:
    # pydantic puts the chosen member of a union into the path; the file has no table of that name, so it's left out.
    keys: list[str] = []
    for part in detail["loc"]:
        for key in _as_written(part, data):
            data = _held(data).get(key)
            keys.append(str(key))
    if detail["type"] == "missing":
        keys.append(str(detail["loc"][-1]))
    return tuple(keys)


def _as_written(part: str | int, data: Any) -> Sequence[str | int]:
    """The keys of `data` that a part of pydantic's path stands for: a dotted path may be written as nested tables."""
    if part in _held(data):
        return (part,)
    keys = str(part).split(".")
    for key in keys:
        if key not in _held(data):
            return ()
        data = data[key]
    return keys


def _held(data: Any) -> Mapping[Any, Any]:
    if isinstance(data, list | tuple):
        return dict(enumerate(data))
    return data if isinstance(data, dict) else {}


def quoted(key: str) -> str:
    """A key as TOML writes it, and not too long."""
    bare = key.replace("_", "").replace("-", "").isalnum() and key.isascii()
    return key if bare and len(key) <= SHOWN else json.dumps(key[:SHOWN])


def _what(detail: Mapping[str, Any], path: Path, places: Places) -> str:
    context = detail.get("ctx", {})
    given = detail["input"]
    match detail["type"]:
        case "unknown_key":
            key, allowed = context["key"], context["allowed"]
            meant = _meant(key, allowed, places.advice(key, path))
            return f"unknown key {shown(key)}; allowed: {', '.join(allowed)}{meant}"
        case "union_tag_invalid":
            kind, allowed = str(context["tag"]), [tag.strip(" '") for tag in context["expected_tags"].split(",")]
            meant = _meant(kind, allowed, places.advice(kind, path))
            return f"unknown kind {shown(kind)}; allowed: {', '.join(allowed)}{meant}"
        case "union_tag_not_found":
            return 'a table with a kind is needed, such as { kind = "…" }' + f", not {shown(given)}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"a table {{ … }} is needed, not {shown(given)}"
        case "tuple_type" if isinstance(given, dict) and all(map(str.isdigit, given)):
            return "a list is needed before its elements can be set: write it in the trial"
        case "tuple_type":
            return f"a list [ … ] is needed, not {shown(given)}"
        case "too_short":
            return f"needs at least {context['min_length']} item(s), not {context['actual_length']}"
        case "too_long":
            return f"at most {context['max_length']} items are allowed, not {context['actual_length']}"
        case "string_unicode":
            return f"halves of characters can't be stored, as in {shown(given)}"
        case "missing":
            return "missing; it has no default"
        case "value_error":
            return str(context["error"])
        case _:
            message = str(detail["msg"])
            return f"{message[:1].lower()}{message[1:]}, not {shown(given)}"


def _meant(name: str, allowed: list[str], elsewhere: str) -> str:
    """A slip of an allowed name is told as one; one of a name that is at home elsewhere only if it is a small one."""
    return did_you_mean(name, allowed, NEARLY_SURE if elsewhere else LIKELY) or elsewhere


def shown(value: Any) -> str:
    """A value as a message repeats it: on one line, and not too long."""
    return cut(repr(value))


def cut(text: str) -> str:
    """A text that is not too long for a message."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
