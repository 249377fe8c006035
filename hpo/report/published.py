"""Printed numbers beside the measured ones.

The interval is that of the measured mean. A printed number is often one run under one seed: then it may lie outside
although the experiment repeats it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.plan import CONFIRM, SEARCH
from hpo.report.measured import measured, representative, summary
from hpo.report.numbers import is_accuracy
from hpo.report.statistics import Summary
from hpo.storage.rows import Cell, CurvePoint
from hpo.study import Published, StudySpec


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """A printed number and what the study measured of the same thing."""

    arm: str
    params: Mapping[str, Any]
    """The configuration that is meant; empty: the one that represents the arm."""
    metric: str
    where: str
    """Where it is printed."""
    printed: float
    measured: Summary | None
    phase: str | None
    """Whose trials measured it."""
    difference: float | None
    """Measured mean - printed."""
    contained: bool | None
    """Whether the interval of the measured mean contains the printed number; None without an interval."""
    missing: str
    """Why nothing is measured; empty if something is."""


def published(study: StudySpec, cells: Sequence[Cell], curves: Sequence[CurvePoint]) -> Iterator[PublishedResult]:
    """Every printed number of the study. Of several configurations that match, the best on validation counts."""
    last: dict[int, CurvePoint] = {}
    if any(row.metric.startswith("train") for row in study.published):
        for point in curves:
            if point.cell_id not in last or point.epoch > last[point.cell_id].epoch:
                last[point.cell_id] = point
    for row in study.published:
        matching = representative(study, [cell for cell in cells if _is_meant(study, row, cell)])
        by_seed = _by_seed(row.metric, matching, last)
        found = summary(by_seed, row.metric)
        low, high = (found.low, found.high) if found else (None, None)
        yield PublishedResult(
            arm=row.arm,
            params=row.params,
            metric=row.metric,
            where=row.where,
            printed=row.value,
            measured=found,
            phase=matching[0].phase if found else None,
            difference=found.mean - row.value if found else None,
            contained=low <= row.value <= high if low is not None and high is not None else None,
            missing="" if found else _missing(row, matching),
        )


def _is_meant(study: StudySpec, row: Published, cell: Cell) -> bool:
    if cell.arm != row.arm or cell.phase not in (SEARCH, CONFIRM) or cell.state != "done":
        return False
    values = study.values(row.arm, cell.params or {}) if row.params else {}
    return all(path in values and values[path] == value for path, value in row.params.items())


def _by_seed(metric: str, cells: Sequence[Cell], last: Mapping[int, CurvePoint]) -> Mapping[int, float]:
    """Seed -> value after the last epoch; as for the other metrics, a diverged trial has accuracy 0 and no loss."""
    for known, by_seed in measured(cells).items():
        if known == metric:
            return by_seed
    values: dict[int, float] = {}
    for cell in cells:
        value: float | None = getattr(last[cell.id], metric) if cell.id in last else None
        if cell.ended == "diverged":
            value = 0.0 if is_accuracy(metric) else None
        if value is not None:
            values[cell.seed] = value
    return values


def _missing(row: Published, matching: Sequence[Cell]) -> str:
    if not matching:
        return "no such trial has finished"
    if row.metric.startswith("test") and matching[0].phase == SEARCH:
        return "only confirmed configurations are scored on test"
    return "not measured"
