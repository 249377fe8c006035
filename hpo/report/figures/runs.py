"""The trials that a figure over epochs shows of each arm, as lines, and the axes on which these lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from hpo.evidence.measured import representative
from hpo.evidence.ranking import ranking
from hpo.report.figures.values import Series
from hpo.storage.rows import Cell, CurvePoint
from hpo.storage.states import CONFIRM, SEARCH
from hpo.study import StudySpec
from hpo.words.nouns import count

BEST = 5
"""So many of an arm's best search trials are shown where it has no confirmed ones."""
WARM_UP = 0.2
"""An axis need not show what lies beyond every value after this share of the epochs."""
Run = tuple[Cell, Sequence[CurvePoint]]
"""A trial and its epochs."""
Runs = Mapping[str, Sequence[Run]]
"""Arm -> those of its trials that are shown."""
Value = Callable[[CurvePoint], float | None]


def representatives(study: StudySpec, cells: Sequence[Cell]) -> dict[str, Sequence[Cell]]:
    """The trials of the configuration that represents each arm."""
    return {arm: representative(study, [cell for cell in cells if cell.arm == arm]) for arm in study.arms}


def several(study: StudySpec, cells: Sequence[Cell]) -> dict[str, Sequence[Cell]]:
    """What represents each arm; in place of a single search trial the arm's best ones, which show a spread."""
    found = representatives(study, cells)
    for arm, own in found.items():
        if len(own) == 1 and own[0].phase == SEARCH:
            best = ranking(study.objective, [cell for cell in cells if cell.arm == arm])[:BEST]
            found[arm] = [cell for configuration in best for cell in configuration.cells]
    return found


def whose(shown: Sequence[Cell], *, which_search: bool) -> str:
    """What the trials shown of an arm are, in words; of several searches, which one they are of."""
    if shown[0].phase == CONFIRM:
        best = f"what its search {shown[0].search} chose" if which_search else "its best configuration"
        return f"{best}, {count(len(shown), 'fresh seed')}"
    if all(cell.params == shown[0].params for cell in shown):
        return f"its best configuration, {count(len(shown), 'search trial')}"
    return f"its {len(shown)} best search trials"


def runs_of(shown: Mapping[str, Sequence[Cell]], curves: Iterable[CurvePoint]) -> Runs:
    """The trials to be shown, each with its epochs; arms that have none are left out."""
    wanted = {cell.id for cells in shown.values() for cell in cells}
    by_cell: defaultdict[int, list[CurvePoint]] = defaultdict(list)
    for point in curves:
        if point.cell_id in wanted:
            by_cell[point.cell_id].append(point)
    runs = {arm: [(cell, by_cell[cell.id]) for cell in cells if cell.id in by_cell] for arm, cells in shown.items()}
    return {arm: found for arm, found in runs.items() if found}


def threads(arm: str, panel: int, runs: Sequence[Run], value: Value) -> list[Series]:
    """A line for each trial."""
    found = []
    for cell, points in runs:
        known = [(float(point.at), measured) for point in points if (measured := value(point)) is not None]
        x, y = tuple(at for at, _ in known), tuple(measured for _, measured in known)
        found.append(Series(arm, panel, "thread", x, y, names=(f"trial {cell.id}, seed {cell.seed}",)))
    return found


def spread(arm: str, panel: int, runs: Sequence[Run], value: Value) -> Series:
    """Mean, lowest and highest over the trials, epoch by epoch; a trial that has ended counts no more."""
    by_epoch: defaultdict[int, list[float]] = defaultdict(list)
    for _, points in runs:
        for point in points:
            if (measured := value(point)) is not None:
                by_epoch[point.at].append(measured)
    epochs = sorted(by_epoch)
    are_several = any(len(values) > 1 for values in by_epoch.values())
    return Series(
        arm,
        panel,
        "line",
        x=tuple(float(epoch) for epoch in epochs),
        y=tuple(fmean(by_epoch[epoch]) for epoch in epochs),
        low=tuple(min(by_epoch[epoch]) for epoch in epochs) if are_several else (),
        high=tuple(max(by_epoch[epoch]) for epoch in epochs) if are_several else (),
    )


def values_of(series: Iterable[Series]) -> list[float]:
    """All values, those of bands too."""
    return [value for one in series for value in (*one.y, *one.low, *one.high)]


def all_positive(series: Iterable[Series]) -> bool:
    """Whether an axis can be logarithmic."""
    return min(values_of(series), default=0.0) > 0


def ratio(series: Iterable[Series]) -> float:
    """How many times the smallest value the largest is."""
    values = values_of(series)
    return max(values) / min(values)


def spans(series: Sequence[Series], times: float) -> bool:
    """Whether the values after the warm-up are positive, and the largest so many times the smallest."""
    if not all_positive(series) or (shown := settled(series, log=True)) is None:
        return False
    low, high = shown
    return high >= times * low


def settled(series: Sequence[Series], *, log: bool = False) -> tuple[float, float] | None:
    """The range of the values after the warm-up, with a margin: where the arms can be told apart."""
    last = max((max(one.x, default=0.0) for one in series), default=0.0)
    late = [
        value
        for one in series
        for band in (one.y, one.low, one.high)
        for epoch, value in zip(one.x, band, strict=False)
        if epoch > WARM_UP * last
    ]
    return padded(late, log=log) if late else None


def padded(values: Sequence[float], *, log: bool = False) -> tuple[float, float]:
    """The range of values with a margin; of one value, what is around it."""
    low, high = min(values), max(values)
    if low == high:
        around = 0.05 * abs(low) or 1.0
        return low - around, high + around
    if log:
        margin = (high / low) ** 0.05
        return low / margin, high * margin
    margin = 0.05 * (high - low)
    return low - margin, high + margin
