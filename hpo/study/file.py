"""The way from a TOML file to a checked study: everything that can be known to be wrong is found before anything
runs."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hpo.errors import StudyFileError
from hpo.search.space import merge
from hpo.spec import Name
from hpo.study import StudySpec, keys_of_a_file
from hpo.study.checks import mistakes
from hpo.study.checks.budgets import budget_mistakes
from hpo.study.checks.limits import what_the_database_takes
from hpo.study.checks.moments import same_moments
from hpo.study.settings import written_out
from hpo.words.explain import SHOWN, cut, explain, quoted, shown
from hpo.words.suggest import did_you_mean

LARGEST_FILE = 1 << 20
"""Bytes."""
DEEPEST_TABLE = 20
MOST_MISTAKES = 50
"""Lines."""
PROFILES = TypeAdapter(dict[Name, dict[str, Any]])


def load(path: Path, overrides: Sequence[str] = (), name: str | None = None, profile: str | None = None) -> StudySpec:
    """Read and check a study file, with the settings of a profile laid over it, then `PATH=VALUE` settings.

    The study is called `name`, or as the file does, to which a profile adds its own name.

    Raises:
        StudyFileError: with one line for every mistake found.
    """
    table = _read(path)
    profiles = _profiles(path, table.pop("profiles", {}))
    chosen = profiles.get(profile or "", {})
    if profile is not None:
        if profile not in profiles:
            raise StudyFileError(f"{path}: {no_such_profile(profile, profiles)}")
        table = _lay(table, chosen) | {"name": f"{table.get('name', '')}-{profile}"}
    for settings in _parse_settings(overrides):
        table = _lay(table, settings)
    if name is not None:
        table["name"] = name
    try:
        return parse(table)
    except StudyFileError as error:
        written = set(_paths(chosen))
        lines = [
            f"profiles.{profile}.{line}" if line.partition(": ")[0] in written else line
            for line in str(error).splitlines()
        ]
        which = f"with the profile {profile!r} " if profile else ""
        mistakes = "\n".join(lines)
        raise StudyFileError(f"{path}: {which}this study file has mistakes\n{mistakes}", hint=error.hint) from None


def parse(table: dict[str, Any]) -> StudySpec:
    """A checked study from the tables of its file.

    Raises:
        StudyFileError: with one line for every mistake found.
    """
    if _depth(table) > DEEPEST_TABLE:
        raise StudyFileError(f"tables are nested more than {DEEPEST_TABLE} deep")
    table = written_out(table)
    try:
        study = StudySpec.model_validate(table)
    except ValidationError as error:
        raise _refused([*explain(error, table, places=keys_of_a_file()), *mistakes(table)]) from None
    lines = [*mistakes(table), *budget_mistakes(study), *what_the_database_takes(study), *same_moments(study)]
    if lines:
        raise _refused(lines)
    return study


def _refused(lines: list[str]) -> StudyFileError:
    more = [f"and {len(lines) - MOST_MISTAKES} more"] if len(lines) > MOST_MISTAKES else []
    return StudyFileError("\n".join(lines[:MOST_MISTAKES] + more))


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StudyFileError(f"{path}: larger than {LARGEST_FILE} bytes, the most a study file may have")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark first
    except OSError as error:
        raise StudyFileError(f"{path}: {error.strerror}", hint="give the path of a study file (TOML)") from None
    except (ValueError, RecursionError) as error:  # TOML's and Unicode's errors, and numbers of thousands of digits
        raise StudyFileError(f"{path}: not a TOML file: {error}") from None


def _profiles(path: Path, given: Any) -> dict[str, dict[str, Any]]:
    """The profiles of a file, each as it is written: what is laid over the study is checked with the study."""
    try:
        profiles = PROFILES.validate_python(given)
    except ValidationError as error:
        mistakes = "\n".join(explain(error, given, "profiles"))
        raise StudyFileError(f"{path}: this study file has mistakes\n{mistakes}") from None
    for name, profile in profiles.items():
        if _depth(profile) > DEEPEST_TABLE:
            raise StudyFileError(f"{path}: profiles.{name}: tables are nested more than {DEEPEST_TABLE} deep")
        if "name" in profile:
            raise StudyFileError(
                f"{path}: profiles.{name}.name: a profile can't name the study, whose name already contains both",
                hint="leave it out, or give --name on the command line",
            )
    return profiles


def no_such_profile(name: str, profiles: Collection[str]) -> str:
    """What to say of a profile that a file doesn't have."""
    if not profiles:
        return f"there is no profile {shown(name)}; this file has none"
    return f"there is no profile {shown(name)}; the profiles are {', '.join(profiles)}{did_you_mean(name, profiles)}"


def _lay(table: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over a study's `table`; what an arm searches is replaced if it is given as a whole."""
    merged = merge(table, over)
    if isinstance(over.get("search"), dict) and isinstance(merged.get("search"), dict):
        merged["search"] = dict(merged["search"])
        _replace(merged["search"], over["search"])
    arms = over.get("arms")
    for name, arm in arms.items() if isinstance(arms, dict) else ():
        if isinstance(arm, dict) and isinstance(arm.get("search"), dict):
            _replace(merged["arms"][name]["search"], arm["search"])
    return merged


def _replace(search: dict[str, Any], over: dict[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict):
            if "values" in value or {"low", "high"} <= value.keys():
                search[key] = value
            else:
                _replace(search[key], value)


def _paths(value: Any, above: str = "") -> Iterator[str]:
    """Every path that `value` holds, as a message writes it."""
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            path = f"{above}{quoted(str(key))}"
            yield path
            yield from _paths(below, f"{path}.")


def _parse_settings(overrides: Sequence[str]) -> Iterator[dict[str, Any]]:
    seen = set()
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise StudyFileError(f"--set {shown(text)}: write PATH=VALUE, for example --set trial.epochs=5")
        path = path.strip()
        if path in seen:
            raise StudyFileError(f"--set {path}: given twice")
        seen.add(path)
        yield _setting(path, value)


def _setting(path: str, value: str) -> dict[str, Any]:
    # A path and a value are TOML; a word that is no TOML value is taken as a text, as one writes it on a command line.
    for written in (value, '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'):
        try:
            return tomllib.loads(f"{path} = {written}")
        except (ValueError, RecursionError):
            continue
    raise StudyFileError(f"--set {shown(path)}: not a path", hint='dotted keys, for example arms.grid.search."lr.peak"')


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            below for v in level if isinstance(v, dict | list) for below in (v.values() if isinstance(v, dict) else v)
        ]
    return deepest


def differences(stored: Any, given: Any, path: str = "") -> Iterator[str]:
    """`path: stored value -> given value` wherever two studies differ."""
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in list(stored) + [key for key in given if key not in stored]:
            below = f"{path}.{quoted(key)}" if path else quoted(key)
            yield from differences(stored.get(key), given.get(key), below)
    elif _has_tables(stored) and _has_tables(given):
        for number, (one, other) in enumerate(zip_longest(stored, given)):
            yield from differences(one, other, f"{path}.{number}")
    elif stored != given:
        yield f"{path}: {' -> '.join(_told_apart(repr(stored), repr(given)))}"


def _has_tables(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(element, dict) for element in value)


def _told_apart(one: str, other: str) -> tuple[str, str]:
    """Both as a message repeats them: long ones that begin alike from shortly before they differ."""
    if max(len(one), len(other)) > SHOWN:
        alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
        if alike > SHOWN // 2:
            one, other = (f"…{text[alike - SHOWN // 4 :]}" for text in (one, other))
    return cut(one), cut(other)
