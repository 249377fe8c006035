"""Which of its configurations a search chooses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.metric import Metric
from hpo.search.space import Params
from hpo.storage.rows import Cell, PlannedCell
from hpo.storage.states import SEARCH


@dataclass(frozen=True, slots=True)
class Configuration:
    """A point of an arm's search space with what a search measured of it."""

    params: Params
    score: float | None
    """The mean over its repeats of what it is judged by; None if one of them diverged and has no worst value."""
    cells: tuple[Cell, ...]


def ranking(metric: Metric, cells: Sequence[Cell]) -> list[Configuration]:
    """The configurations of one search by their score, best first.

    A configuration competes if a repeat ran to its end and none was pruned; a repeat that diverged counts with the
    metric's worst value, and makes the configuration the last if there is none.
    """
    by_point: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.phase == SEARCH and cell.state == "done" and cell.params is not None:
            by_point[point(cell)].append(cell)
    configurations = [
        Configuration(same[0].params or {}, metric.mean(cell.score for cell in same), tuple(same))
        for same in by_point.values()
        if {"finished"} <= {cell.ended for cell in same} <= {"finished", "diverged"}
    ]
    return sorted(configurations, key=lambda configuration: metric.place(configuration.score))


def point(one: PlannedCell | Cell | Configuration) -> str:
    """A point of the search space, as a key."""
    return repr(sorted((one.params or {}).items()))
