"""What trials measured, and which of them stand for their arm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType

from hpo.evidence.ranking import Configuration, point, ranking
from hpo.evidence.statistics import Summary, summarize
from hpo.metric import Metric
from hpo.storage.rows import Cell, CurvePoint, value_of
from hpo.storage.states import CONFIRM
from hpo.study import StudySpec

Values = Mapping[str, Mapping[int, float]]
"""Name of a metric -> unit -> value. The units are what a test counts: the searches where an arm has several, else the
seeds of the one configuration that was chosen."""


def unit_noun(study: StudySpec) -> str:
    """What a unit is called."""
    return "search" if study.protocol.searches > 1 else "seed"


def rankings(study: StudySpec, cells: Sequence[Cell]) -> dict[int, list[Configuration]]:
    """Search -> the configurations of an arm's search, best first."""
    return {
        search: ranking(study.objective, [cell for cell in cells if cell.search == search])
        for search in study.protocol.all_searches
    }


def chosen(study: StudySpec, cells: Sequence[Cell]) -> dict[int, Sequence[Cell]]:
    """Search -> the done cells by which its choice is judged: one configuration's, chosen on validation; of searches
    that have some."""
    found = {search: _judged_by(study, search, ranked, cells) for search, ranked in rankings(study, cells).items()}
    return {search: own for search, own in found.items() if own}


def judged_by(study: StudySpec, cells: Sequence[Cell]) -> list[Cell]:
    """The done cells that an arm is judged by, of all its searches; none at first."""
    return [cell for own in chosen(study, cells).values() for cell in own]


def _judged_by(study: StudySpec, search: int, ranked: Sequence[Configuration], cells: Sequence[Cell]) -> Sequence[Cell]:
    confirm = study.protocol.confirm
    if confirm is None:
        return ranked[0].cells if ranked else ()
    done = [cell for cell in cells if (cell.search, cell.phase, cell.state) == (search, CONFIRM, "done")]
    # Of equally good ones the one that the search ranked higher, whatever their slots are.
    confirmed = [[cell for cell in done if point(cell) == point(best)] for best in ranked[: confirm.top]]
    return min(filter(None, confirmed), key=lambda same: _place(study.objective, same), default=[])


def representative(study: StudySpec, cells: Sequence[Cell]) -> Sequence[Cell]:
    """The cells of the one configuration that stands for an arm: of several searches the best one's, on validation;
    while nothing is confirmed, the search phase's cells of the best configuration."""
    return best_of(study, representatives(study, cells))


def best_of(study: StudySpec, of_each: Mapping[int, Sequence[Cell]]) -> Sequence[Cell]:
    """The best of what stands for each search, on validation; none of none."""
    metric = study.objective
    return min(of_each.values(), key=lambda same: (same[0].phase != CONFIRM, _place(metric, same)), default=())


def representatives(study: StudySpec, cells: Sequence[Cell]) -> dict[int, Sequence[Cell]]:
    """Search -> the cells of the configuration that stands for it, as `representative`."""
    ranked = rankings(study, cells)
    found = {
        search: _judged_by(study, search, own, cells) or (own[0].cells if own else ()) for search, own in ranked.items()
    }
    return {search: own for search, own in found.items() if own}


def _place(metric: Metric, same: Sequence[Cell]) -> tuple[float, ...] | float:
    return metric.place(metric.mean(cell.score for cell in same))


def units(study: StudySpec, cells: Iterable[Cell]) -> dict[int, list[Cell]]:
    """Unit -> its cells, of those that an arm is judged by. A search counts once all its seeds are done: the mean of
    some would not be compared with that of the others' same seeds."""
    found: defaultdict[int, list[Cell]] = defaultdict(list)
    for cell in cells:
        found[cell.seed if study.protocol.searches == 1 else cell.search].append(cell)
    confirm = study.protocol.confirm
    if study.protocol.searches > 1 and confirm is not None:
        return {search: own for search, own in found.items() if len(own) >= confirm.seeds}
    return dict(found)


Read = Callable[[Metric, Cell], float | None]
"""What a metric measured of a cell; None: nothing."""


def measured(metrics: Iterable[Metric], units: Mapping[int, Sequence[Cell]], read: Read) -> Values:
    """What each unit measured, as the mean of its cells; nothing, if one of them has no value."""
    values: dict[str, dict[int, float]] = {}
    for metric in metrics:
        values[metric.name] = {}
        for unit, cells in units.items():
            found = [read(metric, cell) for cell in cells]
            known = [value for value in found if value is not None]
            if len(known) == len(found):
                values[metric.name][unit] = fmean(known) if len(known) > 1 else known[0]
    return values


def after_the_end(last: Mapping[int, CurvePoint] = MappingProxyType({})) -> Read:
    """Read what was measured after the last epoch; test is for the confirm phase, train stands in the curves.

    `last` is each cell's last epoch. A diverged trial has the metric's worst value, or none.
    """

    def read(metric: Metric, cell: Cell) -> float | None:
        if cell.ended == "diverged":
            return None if metric.split == "test" and cell.phase != CONFIRM else metric.worst
        found = last.get(cell.id) if metric.split == "train" else cell
        return None if found is None else value_of(metric, found)

    return read


def after(epoch: int, cells: Iterable[Cell], curves: Iterable[CurvePoint]) -> Read:
    """Read what was measured after `epoch`.

    A trial that had stopped by itself before counts with its last value, which it would have been used with; one that
    had diverged with the metric's worst value, or none.
    """
    wanted = {cell.id for cell in cells}
    reached: dict[int, CurvePoint] = {}
    for each in curves:
        before = reached.get(each.cell_id)
        if each.cell_id in wanted and each.at <= epoch and (before is None or before.at < each.at):
            reached[each.cell_id] = each

    def read(metric: Metric, cell: Cell) -> float | None:
        there = reached.get(cell.id)
        has_passed = there is not None and there.at == epoch
        if there is None or not (has_passed or (cell.ended == "finished" and there.at == cell.epochs)):
            return metric.worst if cell.ended == "diverged" else None
        return value_of(metric, there)

    return read


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
