"""Whether trials draw from their seed at all: n times the same number is one result, which no test may count n times.

Training that draws from its seed differs under another one in the last digits of its losses at least. So where all that
was reported is the same under every seed, at every moment, the seed was not used. (An accuracy alone, of a handful of
examples, can come out the same by chance; that shows no more of how seeds differ.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from hpo.evidence.ranking import point
from hpo.storage.rows import Cell, CurvePoint

Reports = list[tuple[int, Mapping[str, float | None]]]
"""Units done -> what was measured then, of one trial."""


def arms_without_seeds(
    metrics: Collection[str], judged: Mapping[str, Sequence[Cell]], curves: Iterable[CurvePoint]
) -> dict[str, int]:
    """The arms whose trials of one configuration measured the same under all seeds -> how many seeds these are."""
    finished = {arm: [cell for cell in cells if cell.ended == "finished"] for arm, cells in judged.items()}
    reported: dict[int, Reports] = {cell.id: [] for cells in finished.values() for cell in cells}
    for each in curves:
        if each.cell_id in reported:
            measured = {name: value for name, value in each.metrics.items() if name in metrics}
            reported[each.cell_id].append((each.at, measured))
    return {arm: len(cells) for arm, cells in finished.items() if any(_are_one(own, reported) for own in _alike(cells))}


def _alike(cells: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
    """The trials of one configuration after the other: each of several searches chose its own."""
    for _, own in groupby(sorted(cells, key=point), key=point):
        yield list(own)


def _are_one(cells: Sequence[Cell], reported: Mapping[int, Reports]) -> bool:
    if len(cells) < 2 or not reported[cells[0].id]:
        return False
    measured = [(reported[cell.id], cell.metrics) for cell in cells]
    return all(trial == measured[0] for trial in measured)
