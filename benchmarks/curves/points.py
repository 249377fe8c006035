"""The trials of a study as a table to replay searches on: its file, and beside it what `hpo export` wrote of its run.

    table = recorded(Path("benchmarks/curves/points/regression.toml"), "all", search=1)
    curve = table.curve({"values.lr": "cosine", "values.lr.peak": 0.05, "values.penalty": 0.1})

A point that was not trained is answered by the nearest one that was: with the same labels, and nearest in ranges as
they are searched, each from 0 at its low end to 1 at its high end. So the points have to be dense: `qmc` covers evenly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.curves import Curve
from hpo.report.render.exported import params, rows
from hpo.search.space import Params, Range, Values
from hpo.study.file import load

FOLDER = Path(__file__).with_name("points")
Rows = tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The trials of one search: all ran to their end, or diverged."""

    space: Mapping[str, Range | Values]
    epochs: int
    """Units of a trial."""
    points: Sequence[Params]
    curves: Sequence[Curve]

    def curve(self, params: Params) -> Curve:
        """The trial at the nearest point."""
        return self.curves[min(range(len(self.points)), key=lambda place: self._distance(self.points[place], params))]

    def _distance(self, one: Params, other: Params) -> float:
        apart = 0.0
        for name, searched in self.space.items():
            if isinstance(searched, Values):
                apart += 0.0 if one[name] == other[name] else math.inf
            else:
                apart += (_place(searched, one[name]) - _place(searched, other[name])) ** 2
        return apart


def recorded(file: Path, arm: str, search: int) -> Recorded:
    """One search of an arm of the study in that file, as it was exported."""
    study = load(file)
    spec, metric = study.arms[arm], study.objective
    sign = 1.0 if metric.goal == "maximize" else -1.0
    worst = -math.inf if metric.worst is None else sign * metric.worst
    trials, of_cell = _exported(file.with_name(study.name))
    points, curves = list[Params](), list[Curve]()
    for row in trials:
        if (row["arm"], row["search"]) != (arm, str(search)):
            continue
        points.append(params(spec.search, row))
        values = [float(one[metric.name] or "nan") for one in of_cell[row["cell"]]]
        curves.append(Curve(sign * np.array(values), None, row["ended"] == "diverged", worst))
    return Recorded(spec.search, study.arm(arm).length, points, curves)


def searches(file: Path) -> range:
    """The searches of a recorded study, by number."""
    return load(file).protocol.all_searches


def is_recorded(file: Path) -> bool:
    """Whether what was exported lies beside the file."""
    return _table(file.with_name(load(file).name), "trials").exists()


@cache
def _exported(stem: Path) -> tuple[Rows, Mapping[str, Rows]]:
    """The trials, and the units of each by its cell."""
    of_cell: dict[str, list[Mapping[str, str]]] = {}
    for row in rows(_table(stem, "curves")):
        of_cell.setdefault(row["cell"], []).append(row)
    return tuple(rows(_table(stem, "trials"))), {cell: tuple(rows) for cell, rows in of_cell.items()}


def _table(stem: Path, what: str) -> Path:
    return stem.with_name(f"{stem.name}-{what}.csv.gz")


def _place(searched: Range, value: object) -> float:
    """Where a number lies: 0 at the low end, 1 at the high end."""
    low, high, at = searched.low, searched.high, float(str(value))
    if searched.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)
