"""What searches are replayed on: the table of digits, and every recorded study in `points`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path

from benchmarks.curves import Curve, Table, load
from benchmarks.curves.points import FOLDER, is_recorded, recorded, searches
from benchmarks.curves.replay import PEAK, SCHEDULE, STRENGTH, Space, curve_at
from hpo.search.space import Params, Range, Values
from hpo.study.file import load as load_study

CHOOSING = ("digits", "images")
"""Tasks by which defaults may be chosen. What they are worth is measured on the others."""


@dataclass(frozen=True, slots=True)
class Task:
    """One model on one data set."""

    name: str
    space: Space
    epochs: int
    """Units of a trial."""
    curves: Mapping[int, Callable[[Params], Curve]]
    """Training seed -> the trial that was recorded with it, for a point of the space."""
    best: Mapping[int, float]
    """Training seed -> the highest score that was recorded with it."""


@cache
def tasks() -> tuple[Task, ...]:
    """All that are recorded, by name."""
    return tuple(sorted([_digits(load()), *_studies()], key=lambda task: task.name))


def _digits(table: Table) -> Task:
    """The table of digits, with a strength that holds; a strength of 0 is not in a range with a logarithm."""
    peaks, strengths = table.peaks, table.strengths[1:]
    space: Space = {
        SCHEDULE: Values(values=table.schedules),
        PEAK: Range(low=peaks[0], high=peaks[-1], log=True),
        STRENGTH: Range(low=strengths[0], high=strengths[-1], log=True),
    }
    curves = {seed: partial(curve_at, table, seed, "hold") for seed in table.seeds}
    points = [dict(zip(space, point, strict=True)) for point in product(table.schedules, peaks, strengths)]
    best = {seed: max(curve(point).score for point in points) for seed, curve in curves.items()}
    return Task("digits", space, table.epochs_per_trial, curves, best)


def _studies() -> Iterator[Task]:
    for file in sorted(FOLDER.glob("*.toml")):
        if is_recorded(file):
            for arm in load_study(file).arms:
                yield _task(file, arm)


def _task(file: Path, arm: str) -> Task:
    """An arm of a recorded study; it bears the name of its setting, or else of the file."""
    tables = {search: recorded(file, arm, search) for search in searches(file)}
    first = next(iter(tables.values()))
    best = {search: max(curve.score for curve in table.curves) for search, table in tables.items()}
    curves = {search: table.curve for search, table in tables.items()}
    return Task(load_study(file).arms[arm].setting or file.stem, first.space, first.epochs, curves, best)
