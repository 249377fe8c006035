"""Where a study's time went: training, scoring, and what is neither, by arm; and what its workers did besides.

All is summed from what was told with the units of trials (`hpo.worker.spent`), so it is known while a study runs, and
of trials that workers have handed on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.storage import Storage
from hpo.storage.rows import Cell, CurvePoint, WorkerRow
from hpo.study import StudySpec, read_study
from hpo.words.durations import how_long
from hpo.words.nouns import count
from hpo.worker.spent import AT_END, REPEATED, STARTING, STORING, scoring

MUCH: Mapping[str, tuple[float, str]] = {
    "scoring": (0.2, "score less often (trial.score_every)"),
    "starting": (0.2, "longer trials, or a data set that is read faster, would use workers better"),
    "storing": (0.1, "raise --checkpoint-every, or report fewer rungs (a pruner with `every`)"),
    "repeated": (0.1, "workers were killed or disappeared; lower --checkpoint-every if that is usual"),
}
"""What is a part of the time -> the share from which on it is worth a word, and what to do."""
MUCH_WAITING = (0.3, "start fewer workers, or one with more to do: several studies")
"""What of the time of all workers may be without a trial, and what to do."""


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds of trials, summed."""

    units: int
    """Those of which there is a record, once each."""
    training: float
    """Optimizer steps; scoring too, where that was not told."""
    scoring: float
    starting: float
    """Reading data and making a net, or the start of a program's worker."""
    storing: float
    repeated: float
    """What was trained before, and lost when its worker disappeared."""
    scoring_unknown: int
    """Units of which it was not told how long scoring took."""

    @property
    def total(self) -> float:
        return self.training + self.scoring + self.starting + self.storing + self.repeated

    def share(self, part: str) -> float | None:
        """What a part is of all, 0..1; None if nothing is known of it."""
        if not self.total or (part == "scoring" and not self.knows_scoring):
            return None
        return float(getattr(self, part)) / self.total

    @property
    def knows_scoring(self) -> bool:
        """Whether training and scoring can be told apart."""
        return self.scoring_unknown < self.units


@dataclass(frozen=True, slots=True)
class StudyTimes:
    """Where a study's time went."""

    unit: str
    arms: Mapping[str, Times]
    """Those of which a trial was trained."""
    all: Times
    workers: int
    lifetime: float
    """Seconds, of all workers together."""
    waiting: float | None
    """Seconds of it without a trial: starting up, looking for one, or with one of which no unit was kept; None if some
    have worked on other studies, too."""


def study_times(study: StudySpec, cells: Sequence[Cell], curves: Sequence[CurvePoint]) -> dict[str, Times]:
    """Arm -> what its trials took, in the order of the study."""
    by_id = {cell.id: cell for cell in cells}
    own: defaultdict[str, list[CurvePoint]] = defaultdict(list)
    for point in curves:
        cell = by_id.get(point.cell_id)
        # What another trial has trained for this one is counted there.
        if cell is not None and point.at > (cell.leader_epochs or 0):
            own[cell.arm].append(point)
    return {arm: summed(own[arm]) for arm in study.arms if arm in own}


def summed(points: Sequence[CurvePoint]) -> Times:
    """What these units took."""

    def told(name: str) -> float:
        return sum(point.metrics.get(name) or 0.0 for point in points)

    scored = [scoring(point.metrics) for point in points]
    within = sum(seconds for seconds in scored if seconds is not None)
    return Times(
        units=len(points),
        training=max(0.0, sum(point.seconds for point in points) - within),
        scoring=within + told(AT_END),
        starting=told(STARTING),
        storing=told(STORING),
        repeated=told(REPEATED),
        scoring_unknown=scored.count(None),
    )


def read_times(storage: Storage, name: str) -> StudyTimes:
    """The times of the study called `name`.

    Raises:
        StudyError: there is no such study, or this hpo can't read it.
    """
    row = storage.ledger.study(name)
    study = read_study(row.name, row.spec, row.hpo_version)
    cells, curves = storage.ledger.cells(row.id), storage.ledger.curves(row.id)
    arms = study_times(study, cells, curves)
    everything = _added(list(arms.values()))
    ids = {cell.worker for cell in cells}
    workers = [worker for worker in storage.ledger.workers() if worker.id in ids]
    lifetime = sum((worker.ended or worker.seen) - worker.started for worker in workers)
    at_work = everything.total + sum(_under_way(cells, curves, workers))
    waiting = None if storage.ledger.work_elsewhere(row.id) else max(0.0, lifetime - at_work)
    return StudyTimes(study.unit, arms, everything, len(workers), lifetime, waiting)


def _under_way(cells: Sequence[Cell], curves: Sequence[CurvePoint], workers: Sequence[WorkerRow]) -> Iterator[float]:
    """The seconds of units that are being trained, of which nothing is told yet; of trials in their first hands."""
    seen = {worker.id: worker.seen for worker in workers}
    held = [cell for cell in cells if cell.state == "leased" and cell.claims == 1 and cell.worker in seen]
    own: dict[int, list[CurvePoint]] = {cell.id: [] for cell in held}
    for point in curves:
        if point.cell_id in own:
            own[point.cell_id].append(point)
    for cell in held:
        if cell.started is not None:
            yield max(0.0, seen[cell.worker or ""] - cell.started - summed(own[cell.id]).total)


def _added(times: Sequence[Times]) -> Times:
    return Times(**{name: sum(getattr(each, name) for each in times) for name in Times.__dataclass_fields__})


def times_view(storage: Storage, name: str) -> RenderableType:
    """One line an arm, then all together, the workers, and what is out of proportion. Fits 80 columns."""
    times = read_times(storage, name)
    if not times.arms:
        return Text(f"{name}: no {times.unit} was trained yet")
    head = f"{name}: where {how_long(times.all.total)} of trials went"
    return Group(Text(head, style="bold"), _table(times), *map(Text, (*_words(times), *advice(times))))


def times_json(storage: Storage, name: str) -> dict[str, Any]:
    """What the view shows, for programs, in seconds."""
    times = read_times(storage, name)
    return {"name": name} | asdict(times) | {"advice": list(advice(times))}


def _table(times: StudyTimes) -> Table:
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column("arm", overflow="fold", max_width=20)
    for name in (f"s/{times.unit}", "training", *MUCH):
        view.add_column(name, justify="right", no_wrap=True)
    for arm, own in times.arms.items():
        view.add_row(Text(arm), *_cells(own))
    view.add_row(Text("all", style="bold"), *_cells(times.all))
    return view


def _cells(times: Times) -> Iterator[str]:
    yield f"{times.total / times.units:.3g}"
    for part in ("training", *MUCH):
        share = times.share(part)
        yield "?" if share is None else f"{100 * share:.0f} %"


def _words(times: StudyTimes) -> Iterator[str]:
    """What the table does not show."""
    unknown = times.all.scoring_unknown
    if unknown == times.all.units:
        yield "training and scoring are not known apart: a program does not tell, nor did an earlier hpo"
    elif unknown:
        yield f"of {count(unknown, times.unit)} training and scoring are not known apart, and count as training"
    who = f"{count(times.workers, 'worker')}, {how_long(times.lifetime)} in all"
    if times.waiting is None:
        yield f"{who}: how long they waited is not known, as some worked on other studies, too"
    else:
        yield f"{who}: {_percent(times.waiting, times.lifetime)} without a trial (start, idle, attempts that were lost)"


def advice(times: StudyTimes) -> Iterator[str]:
    """A line for everything that is out of proportion, with what can be done."""
    for part, (much, what) in MUCH.items():
        arms = [arm for arm, own in times.arms.items() if (own.share(part) or 0.0) > much]
        if arms:
            highest = max(times.arms[arm].share(part) or 0.0 for arm in arms)
            shown = ", ".join(arms[:3]) + (f" and {len(arms) - 3} more" if len(arms) > 3 else "")
            yield f"{part} took up to {100 * highest:.0f} % of the time of {shown}: {what}"
    much, what = MUCH_WAITING
    if times.waiting is not None and times.lifetime and times.waiting / times.lifetime > much:
        yield f"workers had no trial for {_percent(times.waiting, times.lifetime)} of their time: {what}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"
