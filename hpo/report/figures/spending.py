"""Figures over what an arm has spent: the best known so far, what a part would have found, and every trial."""

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
    """The objective against the epochs that an arm's search has spent; of several searches, its first."""
    metric = report.objective
    first = [cell for cell in cells if cell.phase == SEARCH and cell.search == 1]
    series = [one for arm in report.arms for one in (*_found(metric, arm, first), *_trials(metric, arm.name, first))]
    if not series:
        return None
    which = "first search" if report.compared_by == "search" else "search"
    x = Axis(f"{report.unit}s of the arm's {which}", whole=True)
    panels = []
    for index, title in enumerate(("Best so far", "Expected best of a part", "Every trial")):
        own = [value for one in series if one.panel == index for value in one.y]
        panels.append(Panel(title, x, Axis(labelled(metric), limits=toward_best(metric, own) if own else None)))
    return Figure(
        id=f"{metric.base}-by-{report.unit}s-spent",
        title=f"What the search phase found for its {report.unit}s",
        caption="Best so far: of the configurations known by then, pruned ones left out; optimistic, because it is the "
        f"{metric.highest} of all. Expected best: if the arm had run only a part of its trials, chosen at random; too "
        f"good for small parts of a search that learns. Every trial: its last {metric.base}, open where it was pruned, "
        f"in the order in which they ended; what diverged or is far {metric.beyond} the others is outside.",
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
        spent = sum(cell.epochs for cell in searched if cell.arm == arm.name)
        known = [(step.epochs, step.score) for step in steps] + [(spent, steps[-1].score)]
        yield Series(arm.name, 0, "step", tuple(float(x) for x, _ in known), tuple(factor * y for _, y in known))
    if arm.expected_best:
        found = arm.expected_best
        yield Series(
            arm.name, 1, "line", tuple(one.epochs for one in found), tuple(factor * one.score for one in found)
        )


def _trials(metric: Metric, arm: str, cells: Sequence[Cell]) -> Iterator[Series]:
    search = ended([cell for cell in cells if cell.arm == arm], SEARCH)
    spent = dict(zip((cell.id for cell in search), accumulate(cell.epochs for cell in search), strict=True))
    for style, shown in styled(metric, search):
        x = tuple(float(spent[cell.id]) for cell, _ in shown)
        y = tuple(metric.factor * value for _, value in shown)
        yield Series(arm, 2, style, x, y, names=tuple(called(cell) for cell, _ in shown))
