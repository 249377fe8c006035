"""What trials measured, and which of them stand for their arm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from hpo.metric import Metric
from hpo.plan import changes, point, ranking
from hpo.report.verdict.statistics import Summary, summarize
from hpo.storage.rows import Cell, CurvePoint, value_of
from hpo.storage.states import CONFIRM, WITHDRAWN
from hpo.study import StudySpec

Values = Mapping[str, Mapping[int, float]]
"""Name of a metric -> seed -> value."""


def reported(study: StudySpec, cells: Iterable[Cell]) -> list[Cell]:
    """The cells that are part of the result: without those that follow from their arm's search no more."""
    cells = list(cells)
    unneeded = {cell.id for cell in changes(study, cells).unneeded}
    return [cell for cell in cells if cell.state != WITHDRAWN and cell.id not in unneeded]


def judged_by(study: StudySpec, cells: Sequence[Cell]) -> Sequence[Cell]:
    """The done cells that an arm is judged by: one configuration's, chosen on validation; none at first."""
    ranked = ranking(study.objective, cells)
    confirm = study.protocol.confirm
    if confirm is None:
        return ranked[0].cells if ranked else ()
    done = [cell for cell in cells if cell.phase == CONFIRM and cell.state == "done"]
    # Of equally good ones the one that the search ranked higher, whatever their slots are.
    confirmed = [[cell for cell in done if point(cell) == point(best)] for best in ranked[: confirm.top]]
    metric = study.objective
    return min(
        filter(None, confirmed), key=lambda same: metric.place(metric.mean(cell.score for cell in same)), default=[]
    )


def representative(study: StudySpec, cells: Sequence[Cell]) -> Sequence[Cell]:
    """The cells that stand for their arm; while nothing is confirmed, the search phase's cells of its best
    configuration."""
    return judged_by(study, cells) or next((one.cells for one in ranking(study.objective, cells)), ())


def measured(
    metrics: Iterable[Metric], cells: Sequence[Cell], last: Mapping[int, CurvePoint] = MappingProxyType({})
) -> Values:
    """What each seed measured after its last epoch; test is for the confirm phase, train stands in the curves.

    `last` is each cell's last epoch. A diverged trial has the metric's worst value, or none.
    """
    values: dict[str, dict[int, float]] = {}
    for metric in metrics:
        values[metric.name] = {}
        for cell in cells:
            value = _after_the_end(metric, cell, last.get(cell.id))
            if value is not None:
                values[metric.name][cell.seed] = value
    return values


def _after_the_end(metric: Metric, cell: Cell, last: CurvePoint | None) -> float | None:
    if cell.ended == "diverged":
        return None if metric.split == "test" and cell.phase != CONFIRM else metric.worst
    measured = last if metric.split == "train" else cell
    return None if measured is None else value_of(metric, measured)


def measured_at(metrics: Iterable[Metric], cells: Sequence[Cell], curves: Iterable[CurvePoint], epoch: int) -> Values:
    """What each seed measured after `epoch`; a trial that diverged before it has the metric's worst value, or none."""
    reached = {each.cell_id: each for each in curves if each.at == epoch}
    values: dict[str, dict[int, float]] = {}
    for metric in metrics:
        values[metric.name] = {}
        for cell in cells:
            there = reached.get(cell.id)
            value = None if there is None else value_of(metric, there)
            if there is None and cell.ended == "diverged":
                value = metric.worst
            if value is not None:
                values[metric.name][cell.seed] = value
    return values


def last_epochs(cells: Iterable[Cell], curves: Iterable[CurvePoint]) -> Mapping[int, CurvePoint]:
    """The last epoch of each of the cells, by the cell's id."""
    wanted = {cell.id for cell in cells}
    last: dict[int, CurvePoint] = {}
    for epoch in curves:
        if epoch.cell_id in wanted and (epoch.cell_id not in last or epoch.at > last[epoch.cell_id].at):
            last[epoch.cell_id] = epoch
    return last


def summary(by_seed: Mapping[int, float], metric: Metric) -> Summary | None:
    """Summarize over the seeds, if there are any."""
    return summarize(list(by_seed.values()), lower_is_better=metric.goal == "minimize") if by_seed else None
