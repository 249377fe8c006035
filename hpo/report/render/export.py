"""A study as two tidy tables for other programs: one row per trial, and one row per epoch of every trial.

Columns that both have (study, arm, search, phase, slot, seed, cell) say which trial a row belongs to; an arm's slots
are counted through all its searches. What is searched is a column of `trials` by its dotted path (`lr.peak`), as Optuna
shows it: lists and tables by their label. Strengths and gradient norms are columns of `curves`: `strength.l2`,
`gradient_norm.output.weight`. Accuracies are shares, 0..1, times are in UTC, durations in seconds; what is unknown, or
a loss that is not finite, is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from hpo.storage.rows import Cell, CurvePoint
from hpo.study import StudySpec

KEYS = ("arm", "search", "phase", "slot", "seed")
ENDS = ("state", "ended", "score")
WORK = ("epochs", "seconds", "attempts", "claims", "worker", "trial_number", "error")
TIMES = ("started", "finished")
AT_THE_END = ("validation", "test")
"""The splits of which a trial is measured at its end."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values under named columns."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def trials(study: StudySpec, cells: Sequence[Cell]) -> Table:
    """One row per cell, done or not, in the order of planning."""
    paths = tuple(dict.fromkeys(path for arm in study.arms.values() for path in arm.parameters))
    measured = [name for name, metric in study.metrics.items() if metric.split in AT_THE_END]
    key, ends, work = attrgetter(*KEYS), attrgetter(*ENDS), attrgetter(*WORK)
    rows = []
    for cell in cells:
        params = cell.params or {}
        times = [None if at is None else datetime.fromtimestamp(at, UTC) for at in (cell.started, cell.finished)]
        reached = map(cell.metrics.get, measured)
        searched = map(params.get, paths)
        rows.append((study.name, *key(cell), cell.id, *searched, *ends(cell), *reached, *work(cell), *times))
    return Table(("study", *KEYS, "cell", *paths, *ENDS, *measured, *WORK, *TIMES), rows)


def curves(study: StudySpec, cells: Sequence[Cell], points: Sequence[CurvePoint]) -> Table:
    """One row per epoch of every cell."""
    names = tuple(dict.fromkeys(name for point in points for name in point.metrics))
    key = attrgetter(*KEYS)
    keys = {cell.id: (study.name, *key(cell), cell.id) for cell in cells}
    rows = [
        (*keys[point.cell_id], point.at, point.seconds, *map(point.metrics.get, names))
        for point in points
        if point.cell_id in keys
    ]
    return Table(("study", *KEYS, "cell", "epoch", "seconds", *names), rows)


def by_column(table: Table) -> dict[str, list[Any]]:
    """Return the table, column by column."""
    if not table.rows:
        return {name: [] for name in table.columns}
    return dict(zip(table.columns, map(list, zip(*table.rows, strict=True)), strict=True))
