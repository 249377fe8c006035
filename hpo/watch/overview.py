"""A study that runs, at a glance: one value, which a terminal (`hpo.watch.glance`) and a page (`hpo.watch.live`) show.

A `Watcher` looks again and again. What costs little is read each time; learning curves and claims are read again only
where trials have ended since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.metric import Metric
from hpo.report.verdict.failing import why
from hpo.storage import Storage
from hpo.storage.rows import ArmProgress, StudyRow, WorkerRow, value_of
from hpo.storage.states import AUDIT, CONFIRM, SEARCH, Phase
from hpo.watch.leanings import Leaning, Leanings
from hpo.watch.nodes import summary
from hpo.watch.progress import OVER, Standing, alive_workers, slow_workers_of, standings
from hpo.watch.remaining import about
from hpo.watch.state import State

DOING: dict[Phase, str] = {SEARCH: "searching", CONFIRM: "confirming the best of each arm", AUDIT: "auditing"}
"""What a study does in a phase."""


@dataclass(frozen=True, slots=True)
class ArmGlance:
    """An arm, all its phases together."""

    name: str
    done: int
    total: int
    failed: int
    best: float | None
    """The best of its search so far, by the study's metric."""
    curve: tuple[float, ...]
    """The metric of the best trial after each epoch."""


@dataclass(frozen=True, slots=True)
class Overview:
    """All that is shown of a study at a glance."""

    name: str
    state: State
    doing: str
    """What it is at, in words."""
    time_left: str
    """Empty, if nothing is known of it."""
    metric: Metric
    unit: str
    """What the length of its trials is counted in."""
    arms: tuple[ArmGlance, ...]
    leanings: tuple[Leaning, ...]
    """Its claims, as far as can be seen; none when it is over, for then there is a report."""
    workers: tuple[str, ...]
    """Who works, how fast, and who is slow, in words."""
    last_failure: str
    """Empty, if no trial has failed."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come by itself."""
        return self.state in OVER

    @property
    def done(self) -> int:
        """Trials that are done."""
        return sum(arm.done for arm in self.arms)

    @property
    def total(self) -> int:
        """Trials that are planned so far."""
        return sum(arm.total for arm in self.arms)


class Watcher:
    """Looks at the studies of a storage; not from several threads at once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._leanings: dict[str, Leanings] = {}
        self._curves: dict[str, _Curves] = {}

    def look(self, name: str | None = None) -> list[Overview]:
        """The study called `name`, or all of them.

        Raises:
            StudyError: there is none of that name.
        """
        workers = alive_workers(self._storage)
        return [self._overview(standing, workers) for standing in standings(self._storage, name, len(workers))]

    def _overview(self, standing: Standing, workers: Sequence[WorkerRow]) -> Overview:
        row, progress = standing.row, standing.progress
        curves = self._curves.setdefault(row.uuid, _Curves(self._storage)).look(row, standing.metric, progress)
        leanings: tuple[Leaning, ...] = ()
        if standing.state not in OVER:
            leanings = self._leanings.setdefault(row.uuid, Leanings(self._storage)).look(row, progress)
        return Overview(
            name=row.name,
            state=standing.state,
            doing=_doing(standing, workers),
            time_left=about(standing.seconds_left) if standing.seconds_left else "",
            metric=standing.metric,
            unit=standing.unit,
            arms=tuple(_arms(progress, curves)),
            leanings=leanings,
            workers=tuple(_workers(self._storage, standing, workers)),
            last_failure=_last_failure(self._storage, standing),
        )


class _Curves:
    """The learning curves of the best trials of a study, read again when one of its searches has got further."""

    def __init__(self, storage: Storage) -> None:
        self._ledger = storage.ledger
        self._ended = 0
        self._read: dict[int, tuple[float, ...]] = {}
        self._of_arm: dict[str, int] = {}

    def look(self, row: StudyRow, metric: Metric, progress: Sequence[ArmProgress]) -> dict[str, tuple[float, ...]]:
        """Arm -> the metric of its best trial after each epoch."""
        ended = sum(arm.done for arm in progress if arm.phase == SEARCH)
        if ended != self._ended:
            self._of_arm = self._ledger.best_trials(row.id, metric.goal)
            self._read = {trial: self._curve(trial, metric) for trial in self._of_arm.values()}
            self._ended = ended
        return {arm: self._read[trial] for arm, trial in self._of_arm.items()}

    def _curve(self, trial: int, metric: Metric) -> tuple[float, ...]:
        if trial in self._read:
            return self._read[trial]
        values = (value_of(metric, point) for point in self._ledger.curve(trial))
        return tuple(value for value in values if value is not None)


def _arms(progress: Sequence[ArmProgress], curves: dict[str, tuple[float, ...]]) -> list[ArmGlance]:
    names = dict.fromkeys(arm.arm for arm in progress)
    of_each = {name: [arm for arm in progress if arm.arm == name] for name in names}
    return [
        ArmGlance(
            name=name,
            done=sum(arm.done for arm in phases),
            total=sum(arm.total for arm in phases),
            failed=sum(arm.failed for arm in phases),
            best=next((arm.best for arm in phases if arm.phase == SEARCH), None),
            curve=curves.get(name, ()),
        )
        for name, phases in of_each.items()
    ]


def _doing(standing: Standing, workers: Sequence[WorkerRow]) -> str:
    """What the study is at: the first seconds are those in which somebody wonders whether anything happens."""
    if standing.unreadable:
        return f"{standing.unreadable}"
    if standing.state == "stopped":
        return f"to continue: hpo resume {standing.row.name}"
    if standing.state == "failed" and standing.row.reason:
        return standing.row.reason
    if standing.state in OVER:
        return f"the verdict: hpo report {standing.row.name}"
    if not workers and any(arm.done or arm.leased for arm in standing.progress):
        return f"no worker is left; to go on: hpo worker {standing.row.name}"
    if not workers:
        return "no worker has reported yet"
    if not any(arm.leased or arm.done for arm in standing.progress):
        return "the workers are starting"
    if not any(arm.epochs for arm in standing.progress):
        return f"the data is being loaded, and the first {standing.unit} trained"
    phases = dict.fromkeys(arm.phase for arm in standing.progress if arm.open)
    return ", ".join(DOING[phase] for phase in phases) or "what follows is being planned"


def _workers(storage: Storage, standing: Standing, workers: Sequence[WorkerRow]) -> list[str]:
    epochs = sum(arm.epochs for arm in standing.progress)
    seconds = sum(arm.seconds for arm in standing.progress)
    lines = list(summary(workers))[: 1 if workers else 0]
    if lines and epochs:
        lines[0] += f", {seconds / epochs:.3g} seconds per {standing.unit}"
    return [*lines, *(slow.in_words(standing.unit) for slow in slow_workers_of(storage, standing, workers))]


def _last_failure(storage: Storage, standing: Standing) -> str:
    latest = storage.ledger.errors(standing.row.id, 1) if standing.failed else []
    return next((f"{cell.arm}, {cell.phase}, trial {cell.id}: {why(cell)}" for cell in latest), "")
