"""Trials as figures show them: drawn by how they ended, and called so that one finds them in the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from hpo.metric import Metric
from hpo.report.figures.values import Style
from hpo.report.numbers import number, readable
from hpo.storage.rows import Cell, value_of

T = TypeVar("T")

MOST_POINTS = 400
"""Points of an arm in a panel; of more, every so-many-th is drawn."""


def styled(metric: Metric, cells: Sequence[Cell]) -> Iterator[tuple[Style, list[tuple[Cell, float]]]]:
    """Cells to draw as points, with their last value: those that finished, and open those that were pruned.

    Of too many a sample is drawn.
    """
    styles: dict[str, Style] = {"finished": "points", "pruned": "open points"}
    for end, style in styles.items():
        over = [(cell, value_of(metric, cell)) for cell in cells if cell.ended == end]
        own = [(cell, value) for cell, value in over if value is not None]
        if own:
            yield style, thinned(own)


def thinned(points: list[T]) -> list[T]:
    """Choose evenly as many of the points as a panel shows of an arm; there must be one at least."""
    return points[:: -(-len(points) // MOST_POINTS)]


def called(metric: Metric, cell: Cell) -> str:
    """What a trial is, by the number that it has in the tables, and what it reached, in lines:
    `cell 12, seed 0, pruned`, `lr.peak = 0.0982`, `validation accuracy 95.14 %`."""
    who = f"trial {cell.id}, seed {cell.seed}" + (", pruned" if cell.ended == "pruned" else "")
    values = (f"{'.'.join(path.split('.')[-2:])} = {readable(value)}" for path, value in (cell.params or {}).items())
    reached = value_of(metric, cell)
    score = [] if reached is None else [f"{metric.words} {number(reached, metric)}{' %' if metric.share else ''}"]
    return "\n".join((who, *values, *score))
