"""Figures over what an arm has spent: the best known so far, what a part would have found, and every trial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from hpo.plan import SEARCH
from hpo.report.efficiency import ended
from hpo.report.figures.values import Axis, Figure, Panel, Series, Style, upper
from hpo.report.results import ArmResult, Report
from hpo.storage.rows import Cell

MOST_POINTS = 400
"""Of an arm in a panel; of more, every so-many-th is drawn."""


def spending(cells: Sequence[Cell], report: Report) -> Figure | None:
    """Validation accuracy against the epochs that an arm's search has spent."""
    series = [one for arm in report.arms for one in (*_found(arm), *_trials(arm.name, cells))]
    if not series:
        return None
    x = Axis("epochs of the arm's search")
    panels = []
    for index, title in enumerate(("Best so far", "Expected best of a part", "Every trial")):
        own = [value for one in series if one.panel == index for value in one.y]
        panels.append(Panel(title, x, Axis("validation accuracy, %", limits=upper(own) if own else None)))
    return Figure(
        id="accuracy-by-epochs-spent",
        title="What the search phase found for its epochs",
        caption="Best so far: of the configurations known by then, pruned ones left out; optimistic, because it is the "
        "highest of all. Expected best: if the arm had run only a part of its trials, chosen at random; too high for "
        "small parts of a search that learns. Every trial: its last accuracy, open where it was pruned, in the order "
        "in which they ended; what diverged or is far below the others is outside.",
        arms=tuple(arm.name for arm in report.arms),
        panels=tuple(panels),
        series=tuple(series),
    )


def _found(arm: ArmResult) -> Iterator[Series]:
    steps = arm.efficiency.best_so_far
    if steps:
        known = [(step.epochs, step.accuracy) for step in steps] + [(arm.search.epochs, steps[-1].accuracy)]
        yield Series(arm.name, 0, "step", tuple(float(x) for x, _ in known), tuple(100 * y for _, y in known))
    if arm.expected_best:
        found = arm.expected_best
        yield Series(
            arm.name, 1, "line", tuple(one.epochs for one in found), tuple(100 * one.accuracy for one in found)
        )


def _trials(arm: str, cells: Sequence[Cell]) -> Iterator[Series]:
    search = ended([cell for cell in cells if cell.arm == arm], SEARCH)
    spent = dict(zip((cell.id for cell in search), accumulate(cell.epochs for cell in search), strict=True))
    for style, shown in styled(search):
        x = tuple(float(spent[cell.id]) for cell in shown)
        yield Series(arm, 2, style, x, tuple(100 * (cell.validation_accuracy or 0.0) for cell in shown))


def styled(cells: Sequence[Cell]) -> Iterator[tuple[Style, list[Cell]]]:
    """Cells to draw as points: those that finished, and open those that were pruned; a sample of too many."""
    styles: dict[str, Style] = {"finished": "points", "pruned": "open points"}
    for end, style in styles.items():
        own = [cell for cell in cells if cell.ended == end and cell.validation_accuracy is not None]
        if own:
            yield style, own[:: -(-len(own) // MOST_POINTS)]
