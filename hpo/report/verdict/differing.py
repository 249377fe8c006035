"""Where the arms' configurations differ: the paths of a trial of which not all arms have the same values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hpo.report.verdict.results import ArmResult


def flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """The values of a table of tables by their dotted paths."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def differing(arms: Iterable[ArmResult]) -> list[str]:
    """The dotted paths whose values tell arms that have a configuration apart, in the order in which they meet them."""
    known = [arm for arm in arms if arm.trials]
    paths = dict.fromkeys(path for arm in known for trial in arm.trials.values() for path in trial)
    return [path for path in paths if any(values(arm, path) != values(known[0], path) for arm in known)]


def values(arm: ArmResult, path: str) -> list[Any]:
    """What each search of an arm chose at `path`, None where its trial has no such path; once where all chose alike."""
    found = [trial.get(path) for trial in arm.trials.values()]
    return found[:1] if all(value == found[0] for value in found) else found
