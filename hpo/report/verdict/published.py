"""Printed numbers beside the measured ones.

The interval is that of the measured mean. A printed number is often one run under one seed: then it may lie outside
although the experiment repeats it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.evidence.measured import after_the_end, measured, representative, summary, units
from hpo.evidence.statistics import Summary
from hpo.metric import Metric
from hpo.storage.rows import Cell, CurvePoint
from hpo.storage.states import CONFIRM, SEARCH
from hpo.study import Published, StudySpec


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """A printed number and what the study measured of the same thing."""

    arm: str
    params: Mapping[str, Any]
    """The configuration that is meant; empty: the one that represents the arm."""
    metric: Metric
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


def published(study: StudySpec, cells: Sequence[Cell], last: Mapping[int, CurvePoint]) -> Iterator[PublishedResult]:
    """Every printed number of the study. Of several configurations that match, the best on validation counts.

    `last` is each cell's last epoch.
    """
    for row in study.published:
        metric = study.metric_of(row)
        matching = representative(study, [cell for cell in cells if _is_meant(study, row, cell)])
        by_unit = units(study, matching)
        found = summary(measured([metric], by_unit, after_the_end(last))[metric.name], metric)
        low, high = (found.low, found.high) if found else (None, None)
        yield PublishedResult(
            arm=row.arm,
            params=row.params,
            metric=metric,
            where=row.where,
            printed=row.value,
            measured=found,
            phase=matching[0].phase if found else None,
            difference=found.mean - row.value if found else None,
            contained=low <= row.value <= high if low is not None and high is not None else None,
            missing="" if found else _missing(metric, matching),
        )


def _is_meant(study: StudySpec, row: Published, cell: Cell) -> bool:
    if cell.arm != row.arm or cell.phase not in (SEARCH, CONFIRM) or cell.state != "done":
        return False
    values = study.values(row.arm, cell.params or {}) if row.params else {}
    return all(path in values and values[path] == value for path, value in row.params.items())


def _missing(metric: Metric, matching: Sequence[Cell]) -> str:
    if not matching:
        return "no such trial has finished"
    if metric.split == "test" and matching[0].phase == SEARCH:
        return "only confirmed configurations are scored on test"
    return "not measured"
