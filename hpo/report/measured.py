"""What trials measured, and which of them stand for their arm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import get_args

from hpo.plan import CONFIRM, changes, point, ranking
from hpo.report.numbers import is_accuracy
from hpo.report.statistics import Summary, summarize
from hpo.storage.rows import WITHDRAWN, Cell, CurvePoint
from hpo.study import Metric, StudySpec

Values = Mapping[Metric, Mapping[int, float]]
"""Metric -> seed -> value."""


def reported(study: StudySpec, cells: Iterable[Cell]) -> list[Cell]:
    """The cells that are part of the result: without those that follow from their arm's search no more."""
    cells = list(cells)
    unneeded = {cell.id for cell in changes(study, cells).unneeded}
    return [cell for cell in cells if cell.state != WITHDRAWN and cell.id not in unneeded]


def judged_by(study: StudySpec, cells: Sequence[Cell]) -> Sequence[Cell]:
    """The done cells that an arm is judged by: one configuration's, chosen on validation; none at first."""
    ranked = ranking(cells)
    confirm = study.protocol.confirm
    if confirm is None:
        return ranked[0].cells if ranked else ()
    done = [cell for cell in cells if cell.phase == CONFIRM and cell.state == "done"]
    # Of equally good ones the one that the search ranked higher, whatever their slots are.
    confirmed = [[cell for cell in done if point(cell) == point(best)] for best in ranked[: confirm.top]]
    return max(filter(None, confirmed), key=_score, default=[])


def representative(study: StudySpec, cells: Sequence[Cell]) -> Sequence[Cell]:
    """The same; while nothing is confirmed, the search phase's cells of its best configuration."""
    return judged_by(study, cells) or next((configuration.cells for configuration in ranking(cells)), ())


def measured(cells: Iterable[Cell]) -> Values:
    """What each seed measured. A diverged trial has accuracy 0 and no loss; test is for the confirm phase."""
    values: dict[Metric, dict[int, float]] = {metric: {} for metric in get_args(Metric)}
    for cell in cells:
        for metric, by_seed in values.items():
            value: float | None = getattr(cell, metric)
            if cell.ended == "diverged":
                scored = cell.phase == CONFIRM or metric == "validation_accuracy"
                value = 0.0 if scored and is_accuracy(metric) else None
            if value is not None:
                by_seed[cell.seed] = value
    return values


def measured_at(cells: Iterable[Cell], curves: Iterable[CurvePoint], epoch: int) -> Values:
    """What validation measured of each seed after `epoch`; a trial that diverged before it has accuracy 0."""
    reached = {point.cell_id: point for point in curves if point.epoch == epoch}
    values: dict[Metric, dict[int, float]] = {metric: {} for metric in get_args(Metric)}
    for cell in cells:
        point = reached.get(cell.id)
        if point is None and cell.ended == "diverged":
            values["validation_accuracy"][cell.seed] = 0.0
        if point is not None and point.validation_accuracy is not None:
            values["validation_accuracy"][cell.seed] = point.validation_accuracy
        if point is not None and point.validation_loss is not None:
            values["validation_loss"][cell.seed] = point.validation_loss
    return values


def summary(by_seed: Mapping[int, float], metric: str) -> Summary | None:
    """Over the seeds, if there are any."""
    return summarize(list(by_seed.values()), lower_is_better=not is_accuracy(metric)) if by_seed else None


def _score(cells: Sequence[Cell]) -> float:
    return fmean(cell.score or 0.0 for cell in cells)
