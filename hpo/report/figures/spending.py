"""Figures over what an arm has spent, in epochs and seconds: the best so far, what a part finds, and every trial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from hpo.metric import Metric
from hpo.report.figures.trials import called, styled
from hpo.report.figures.values import Axis, Figure, Panel, Series, toward_best
from hpo.report.verdict.efficiency import ended
from hpo.report.verdict.results import ArmResult, Report
from hpo.storage.rows import Cell
from hpo.storage.states import SEARCH


def spending(cells: Sequence[Cell], report: Report) -> Figure | None:
    """The objective against what an arm's search spent; of several searches, its first. None where none searched."""
    metric = report.objective
    first = [cell for cell in cells if cell.phase == SEARCH and cell.search == 1]
    series = [one for arm in report.arms for one in (*_found(metric, arm, first), *_trials(metric, arm.name, first))]
    if not series or all(arm.tried <= 1 for arm in report.arms):
        return None
    are_several = report.compared_by == "search"
    which = "first search" if are_several else "search"
    epochs = Axis(f"{report.unit}s of the arm's {which}", whole=True)
    seconds = Axis(f"seconds of training of the arm's {which}")
    part = Axis(f"{report.unit}s of all the arm's searches", whole=True) if are_several else epochs
    shown = {"Best so far": epochs, "Best so far, by time": seconds, "Expected best of a part": part}
    panels = []
    for index, (title, x) in enumerate((shown | {"Every trial": epochs}).items()):
        own = [value for one in series if one.panel == index for value in one.y]
        panels.append(Panel(title, x, Axis(labelled(metric), limits=toward_best(metric, own) if own else None)))
    return Figure(
        id=f"{metric.base}-by-{report.unit}s-spent",
        title=f"What the search phase found for its {report.unit}s and its time",
        caption="Best so far: of the configurations known by then, pruned ones left out; optimistic, because it is the "
        f"{metric.highest} of all. Seconds are those of training, summed over workers. Expected best: if the arm had "
        "run only a part of its trials, chosen at random; too good for small parts of a search that learns. Every "
        f"trial: its last {metric.base}, open where it was pruned, in the order in which they ended; what diverged or "
        f"is far {metric.beyond} the others is outside.",
        arms=tuple(arm.name for arm in report.arms),
        panels=tuple(panels),
        series=tuple(series),
    )


def labelled(metric: Metric) -> str:
    """The label of an axis of the metric: `validation accuracy, %`."""
    return f"{metric.words}, {metric.axis}" if metric.axis else metric.words


def _found(metric: Metric, arm: ArmResult, searched: Sequence[Cell]) -> Iterator[Series]:
    steps, factor = arm.efficiency.best_so_far, metric.factor
    if steps:
        own = ended([cell for cell in searched if cell.arm == arm.name], SEARCH)
        known = dict(zip(accumulate(cell.epochs for cell in own), own, strict=True))
        names = tuple(f"found by {called(metric, known[step.epochs])}" for step in (*steps, steps[-1]))
        y = tuple(factor * step.score for step in (*steps, steps[-1]))
        epochs = (*(step.epochs for step in steps), sum(cell.epochs for cell in own))
        seconds = (*(step.seconds for step in steps), sum(cell.seconds for cell in own))
        yield Series(arm.name, 0, "step", tuple(map(float, epochs)), y, names=names)
        yield Series(arm.name, 1, "step", seconds, y, names=names)
    if arm.expected_best:
        found = arm.expected_best
        yield Series(
            arm.name, 2, "line", tuple(one.epochs for one in found), tuple(factor * one.score for one in found)
        )


def _trials(metric: Metric, arm: str, cells: Sequence[Cell]) -> Iterator[Series]:
    search = ended([cell for cell in cells if cell.arm == arm], SEARCH)
    spent = dict(zip((cell.id for cell in search), accumulate(cell.epochs for cell in search), strict=True))
    for style, shown in styled(metric, search):
        x = tuple(float(spent[cell.id]) for cell, _ in shown)
        y = tuple(metric.factor * value for _, value in shown)
        yield Series(arm, 3, style, x, y, names=tuple(called(metric, cell) for cell, _ in shown))
