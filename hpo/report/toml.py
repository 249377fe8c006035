"""A study as a study file: what the storage keeps, written so that `hpo launch-study` reads it again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hpo.study import StudySpec
from hpo.words.visible import visible


def study_file(study: StudySpec) -> str:
    """The text of a file that reads as the same study, its defaults written out."""
    return study_text(study.model_dump(mode="json", exclude_none=True))


def study_text(study: Mapping[str, Any]) -> str:
    """The tables of a study as the text of a file."""
    return "\n".join(_lines(study)) + "\n"


def trial_table(trial: Mapping[str, Any]) -> str:
    """A trial as the table `[trial]` of a study file."""
    return "\n".join(["[trial]", *_entries(trial)]) + "\n"


def _lines(study: Mapping[str, Any]) -> Iterator[str]:
    tables = ("trial", "protocol", "arms", "claims", "published", "source", "extensions")
    yield from _entries({key: value for key, value in study.items() if key not in tables})
    yield from _table("trial", study["trial"])
    yield from _table("protocol", study.get("protocol", {}))
    for name, arm in study["arms"].items():
        yield from _table(f"arms.{name}", arm)
    for name in ("claims", "published", "extensions"):
        for entry in study.get(name, ()):
            yield from ("", f"[[{name}]]", *_entries(entry))
    if "source" in study:
        yield from _table("source", study["source"])


def _table(header: str, content: Mapping[str, Any]) -> Iterator[str]:
    """A table with one line per entry; an arm's searched paths each have a line of their own."""
    yield from ("", f"[{header}]")
    yield from _entries(_without_empty({key: value for key, value in content.items() if key != "search"}))
    for path, searched in content.get("search", {}).items():
        yield f"search.{key_of(path)} = {toml(_without_empty(searched))}"


def _without_empty(table: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing, such as an arm's trial that is the study's."""
    return {key: value for key, value in table.items() if value != {}}


def _entries(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key_of(key)} = {toml(value)}" for key, value in table.items())


def toml(value: Any) -> str:
    """A value as a study file writes it, on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(_entries(value)) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def key_of(key: str) -> str:
    """A key as a study file writes it."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _quoted(text: str) -> str:
    # JSON's text is TOML's, unless JSON writes a character as two surrogates, which is why they are left as they are.
    return re.sub(r"[^ -~]", _escaped, json.dumps(text, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    """A character that would act instead of showing by its number, so that the file reads as what it is."""
    char = found[0]
    if visible(char) == char:
        return char
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
