"""Printed numbers beside the measured ones.

A printed number is often one run under one seed. So it is compared with the interval in which the mean of as many
further runs of the same thing would lie, a prediction interval (Geisser 1993): measured mean ± t s sqrt(1 / n + 1 /
runs), with n - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.evidence.measured import after_the_end, measured, representative, summary, units
from hpo.evidence.statistics import CONFIDENCE, Summary
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
    runs: int
    """How many runs it is the mean of."""
    contained: bool | None
    """Whether the mean of so many further runs would lie so far from the measured one with a chance of 95 %; None where
    fewer than two were measured."""
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
        yield PublishedResult(
            arm=row.arm,
            params=row.params,
            metric=metric,
            where=row.where,
            printed=row.value,
            measured=found,
            phase=matching[0].phase if found else None,
            difference=found.mean - row.value if found else None,
            runs=row.runs,
            contained=None if found is None else predicts(found, row.runs, row.value),
            missing="" if found else _missing(metric, matching),
        )


def predicts(measured: Summary, runs: int, value: float) -> bool | None:
    """Whether the prediction interval for the mean of so many further runs contains a value; None without a spread."""
    from scipy.special import stdtrit

    if not measured.std:
        return None
    t = float(stdtrit(measured.n - 1, (1 + CONFIDENCE) / 2))
    return abs(value - measured.mean) <= t * measured.std * math.sqrt(1 / measured.n + 1 / runs)


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
