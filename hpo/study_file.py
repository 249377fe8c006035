"""From a TOML file to a checked study: everything that can be known to be wrong is found before anything runs."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hpo.errors import StudyFileError
from hpo.explain import explain, quoted, shown
from hpo.search import CmaEs, Grid
from hpo.space import Params, Range, merge
from hpo.spec import Name
from hpo.study import Arm, Comparison, StudySpec, parse_trial

LARGEST_FILE = 1 << 20
"""Bytes."""
DEEPEST_TABLE = 20
MOST_MISTAKES = 10
"""Told of one arm's values."""
FIXED = ("data", "epochs", "batch_size")
"""Parts of a trial that decide what an epoch costs or what it is scored on, so no search may touch them."""
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
    try:
        study = StudySpec.model_validate(table)
    except ValidationError as error:
        raise StudyFileError("\n".join(explain(error, table))) from None
    mistakes = list(_mistakes(study))
    if mistakes:
        raise StudyFileError("\n".join(mistakes))
    return study


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StudyFileError(f"{path}: larger than {LARGEST_FILE} bytes, which no study file is")
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
                f"{path}: profiles.{name}.name: a profile can't name the study, which is called after both",
                hint="--name on the command line can",
            )
    return profiles


def no_such_profile(name: str, profiles: Collection[str]) -> str:
    """What to say of a profile that a file doesn't have."""
    if not profiles:
        return f"there is no profile {shown(name)}; this file has none"
    close = get_close_matches(name, list(profiles), n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return f"there is no profile {shown(name)}; the profiles are {', '.join(profiles)}{meant}"


def _lay(table: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over a study's `table`; what an arm searches is replaced if it is given as a whole."""
    merged = merge(table, over)
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


def _mistakes(study: StudySpec) -> Iterator[str]:
    """What is wrong between the parts, each of which is well-formed."""
    try:
        parse_trial(study.trial, "trial")
    except StudyFileError as error:
        yield str(error)
        return  # every arm would repeat it
    for name, arm in study.arms.items():
        yield from _arm_mistakes(study, name, arm)
    yield from _published_mistakes(study)
    if study.protocol.baseline is not None and study.protocol.baseline not in study.arms:
        yield f"protocol.baseline: {_no_such_arm(study, study.protocol.baseline)}"
    for number, claim in enumerate(study.claims):
        yield from _claim_mistakes(study, claim.comparison, f"claims.{number}.{'greater' if claim.greater else 'less'}")


def _claim_mistakes(study: StudySpec, comparison: Comparison, where: str) -> Iterator[str]:
    for pair, at in zip(comparison.pairs, (where, f"{where}.against"), strict=False):
        for role, arm in (("arm", pair.arm), ("than", pair.than)):
            if arm not in study.arms:
                yield f"{at}.{role}: {_no_such_arm(study, arm)}"
        if pair.arm == pair.than:
            yield f"{at}: compares {pair.arm!r} with itself"
        if pair.at is not None and comparison.metric.startswith("test"):
            yield f"{at}.at: {comparison.metric} is scored after the last epoch alone; name a validation metric"
    if len(set(comparison.pairs)) < len(comparison.pairs):
        yield f"{where}.against: the same pair"
    if study.protocol.confirm is None and comparison.metric.startswith("test"):
        yield f"{where}.metric: {comparison.metric} needs a confirm phase; add protocol.confirm"


def _published_mistakes(study: StudySpec) -> Iterator[str]:
    for number, row in enumerate(study.published):
        where = f"published.{number}"
        if row.arm not in study.arms:
            yield f"{where}.arm: {_no_such_arm(study, row.arm)}"
            continue
        for path in row.params:
            if path not in study.arms[row.arm].search:
                known = ", ".join(study.arms[row.arm].search) or "nothing"
                yield f"{where}.params: {row.arm} does not search {shown(path)}; it searches {known}"


def _no_such_arm(study: StudySpec, name: str) -> str:
    close = get_close_matches(name, list(study.arms), n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return f"there is no arm {name!r}; the arms are {', '.join(study.arms)}{meant}"


def _arm_mistakes(study: StudySpec, name: str, arm: Arm) -> Iterator[str]:
    where = f"arms.{name}.search"
    for path, searched in arm.search.items():
        at = f"{where}.{quoted(path)}"
        if path.split(".")[0] in FIXED:
            yield f"{at}: {', '.join(FIXED)} can't be searched: arms would no longer be comparable; make it another arm"
            return
        if isinstance(arm.sampler, Grid) and isinstance(searched, Range):
            yield f"{at}: a grid needs values, for example {{ values = [{searched.low:g}, {searched.high:g}] }}"
            return
    if not isinstance(arm.sampler, Grid) and not arm.search:
        yield f"{where}: the sampler {arm.sampler.kind!r} needs something to search; use a grid for one configuration"
    ranges = [searched for searched in arm.search.values() if isinstance(searched, Range)]
    if isinstance(arm.sampler, CmaEs) and len(ranges) < max(2, len(arm.search)):
        yield f"arms.{name}.sampler: cmaes needs two or more ranges and nothing else; use tpe"
    if "data" in arm.trial:
        yield f"arms.{name}.trial.data: arms must share the study's data to be comparable"
        return
    yield from islice(_searched_mistakes(study, name, arm), MOST_MISTAKES)


def _searched_mistakes(study: StudySpec, name: str, arm: Arm) -> Iterator[str]:
    """Mistakes of the arm's trial with every value and both ends of every range, one path at a time."""
    first: Params = {path: searched.examples()[0] for path, searched in arm.search.items()}
    points = [(path, first | {path: label}) for path, searched in arm.search.items() for label in searched.examples()]
    told = set()
    for path, point in points or [("", first)]:
        try:
            study.trial_of(name, point)
        except StudyFileError as error:
            for line in str(error).splitlines():
                tried = f" (with {quoted(path)} = {shown(point[path])})" if path else ""
                if line not in told:
                    yield f"{line}{tried}"
                told.add(line)


def differences(stored: Any, given: Any, path: str = "") -> Iterator[str]:
    """`path: stored value -> given value` wherever two studies differ."""
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in list(stored) + [key for key in given if key not in stored]:
            below = f"{path}.{quoted(key)}" if path else quoted(key)
            yield from differences(stored.get(key), given.get(key), below)
    elif stored != given:
        yield f"{path}: {shown(stored)} -> {shown(given)}"
