"""How far a study is: for people who watch it, and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.errors import StudyError, StudyFileError
from hpo.metric import Metric
from hpo.report.numbers import number
from hpo.report.verdict.failing import why
from hpo.storage import Storage
from hpo.storage.rows import ArmProgress, StudyRow, WorkerRow
from hpo.storage.states import SEARCH
from hpo.study import StudySpec, read_study
from hpo.trainers import default_objective
from hpo.watch.nodes import summary
from hpo.watch.pace import LOOKED_AT, SlowWorker, slow_workers
from hpo.watch.remaining import about, left, seconds_left
from hpo.watch.state import State, state_of
from hpo.words.failure import what_to_do
from hpo.words.nouns import count

SHOWN_ERRORS = 3
OVER = ("finished", "failed", "unreadable")
"""The states of a study of which nothing more will come by itself."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a study stands."""

    row: StudyRow
    metric: Metric
    """What the study is judged by."""
    state: State
    progress: Sequence[ArmProgress]
    seconds_left: tuple[float, float] | None
    """The time left, at least and at most; None if it is not running, or if nothing is known of its pace."""
    unit: str = "epoch"
    """What the length of its trials is counted in."""
    unreadable: StudyError | None = None
    """Why its plan can't be read."""

    @property
    def failed(self) -> int:
        """Trials that were set aside."""
        return sum(arm.failed for arm in self.progress)


def table(progress: Sequence[ArmProgress], metric: Metric, unit: str = "epoch") -> Table:
    """One line an arm and phase: a bar, counts, epochs, the best value of `metric` so far. Fits 80 columns."""
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column("arm", overflow="fold", max_width=24)
    view.add_column("phase", no_wrap=True)
    view.add_column("")
    for name in ("done", "failed", f"{unit}s", "best", "seeds"):
        view.add_column(name, justify="right", no_wrap=True)
    for arm in progress:
        best = "" if arm.best is None else in_unit(arm.best, metric)
        view.add_row(
            Text(arm.arm),
            arm.phase,
            ProgressBar(total=arm.total, completed=arm.done + arm.failed, width=10),
            f"{arm.done}/{arm.total}",
            Text(str(arm.failed), style="bold red") if arm.failed else "",
            str(arm.epochs),
            best,
            str(arm.seeds) if arm.seeds else "",
        )
    return view


def line(progress: Sequence[ArmProgress], metric: Metric) -> str:
    """The progress in one line, for logs."""
    return "; ".join(" ".join(_words(arm, metric)) for arm in progress)


def in_unit(value: float, metric: Metric) -> str:
    """A value with its unit, if it has one: `96.18 %`."""
    return f"{number(value, metric)} {'%' if metric.share else ''}".rstrip()


def _words(arm: ArmProgress, metric: Metric) -> Iterator[str]:
    yield f"{arm.arm} {arm.phase} {arm.done}/{arm.total}"
    if arm.failed:
        yield f"failed {arm.failed}"
    if arm.best is not None:
        yield f"best {in_unit(arm.best, metric)}" + (f" (mean of {arm.seeds} seeds)" if arm.seeds > 1 else "")


def status(storage: Storage, name: str | None) -> RenderableType:
    """How far the study called `name` is, or every study of the storage; and its workers."""
    workers = alive_workers(storage)
    views: list[RenderableType] = []
    for standing in standings(storage, name, len(workers)):
        views += [*_study(storage, standing, len(workers)), *_slow(storage, standing, workers), Text()]
    views += [Text(line) for line in summary(workers)]
    return Group(*views)


def _study(storage: Storage, standing: Standing, alive: int) -> Iterator[RenderableType]:
    row, progress = standing.row, standing.progress
    yield Text(f"{row.name}: {standing.state}", style="bold")
    if row.reason:
        yield Text(f"it was stopped early: {row.reason}")
    if row.state == "failed" and not standing.failed:
        yield Text("no trial had used up its attempts by then, so none is counted as failed")
    yield table(progress, standing.metric, standing.unit)
    if standing.unreadable:
        yield Text(f"{standing.unreadable}\n{standing.unreadable.hint}")
    for cell in storage.ledger.errors(row.id, SHOWN_ERRORS):
        yield Text(f"failed: {cell.arm}, {cell.phase}, trial {cell.id}: {why(cell)}")
    if standing.failed > SHOWN_ERRORS:
        yield Text(f"and {count(standing.failed - SHOWN_ERRORS, 'more failed trial')}")
    if standing.failed or row.state == "failed":
        yield Text(what_to_do(row.name))
    if not alive and standing.state in ("planned", "waiting for workers"):
        yield Text(f"no worker is alive; to go on: hpo worker {row.name}, or the command that launched it")
    if standing.state == "stopped":
        yield Text(f"to continue: hpo resume {row.name}")
    if stale := sum(arm.stale for arm in progress):
        yield Text(f"stale leases: {stale}; other workers can take over these trials")
    if standing.seconds_left:
        yield Text(f"time left: {about(standing.seconds_left)}")


def _slow(storage: Storage, standing: Standing, alive: Sequence[WorkerRow]) -> list[Text]:
    return [Text(slow.in_words(standing.unit)) for slow in slow_workers_of(storage, standing, alive)]


def slow_workers_of(storage: Storage, standing: Standing, alive: Sequence[WorkerRow]) -> list[SlowWorker]:
    """The workers that are much slower than their equals, in a study that runs."""
    if standing.state != "running" or len(alive) < 2:
        return []
    ids = [worker.id for worker in alive]
    return slow_workers(storage.ledger.trained_by(standing.row.id, ids, LOOKED_AT * len(ids)), alive)


def status_json(storage: Storage, name: str | None) -> dict[str, object]:
    """The status for programs."""
    workers = alive_workers(storage)
    studies = [
        {
            "name": standing.row.name,
            "state": standing.state,
            "reason": standing.row.reason,
            "seconds_left": standing.seconds_left,
            "arms": [asdict(arm) for arm in standing.progress],
            "failed": [
                {"arm": cell.arm, "phase": cell.phase, "cell": cell.id, "reason": why(cell)}
                for cell in storage.ledger.errors(standing.row.id, SHOWN_ERRORS)
            ],
            "slow_workers": [asdict(slow) for slow in slow_workers_of(storage, standing, workers)],
        }
        for standing in standings(storage, name, len(workers))
    ]
    return {"studies": studies, "workers": [asdict(worker) for worker in workers]}


def anything_open(storage: Storage, name: str | None) -> bool:
    """Whether there is a study of which more will come."""
    return any(standing.state not in OVER for standing in standings(storage, name, len(alive_workers(storage))))


def standings(storage: Storage, name: str | None, alive: int) -> list[Standing]:
    """Where the study called `name` stands, or every study, with so many workers alive on all of them."""
    rows = storage.ledger.studies()
    wanted = [row.id for row in rows] if name is None else [storage.ledger.study(name).id]
    shown = [row for row in rows if row.id in wanted or row.state == "running"]
    read = {row.id: _read(row) for row in shown}
    found = {row.id: storage.ledger.progress(row.id, _metric(read[row.id]).goal) for row in shown}
    # The workers of one study are those that hold no trial of another.
    held = {id: sum(arm.leased - arm.stale for arm in progress) for id, progress in found.items()}
    free = alive - sum(held.values())
    return [
        _standing(row, read[row.id], found[row.id], alive, max(free, 0) + held[row.id])
        for row in rows
        if row.id in wanted
    ]


def _read(row: StudyRow) -> StudySpec | StudyError:
    """The study as it is stored, or why it can't be read."""
    try:
        study = read_study(row.name, row.spec, row.hpo_version)
        left(study, [ArmProgress.none_of(arm, SEARCH) for arm in study.arms])
    except StudyError as error:
        return error
    except (LookupError, TypeError, ValueError, ArithmeticError, StudyFileError):  # of values that no model looks into
        return StudyError(
            f"the stored data of the study {row.name!r} is inconsistent: another program has changed it",
            hint=f"restore it from a backup of the database, or remove the study: hpo delete {row.name}",
        )
    return study


def _metric(read: StudySpec | StudyError) -> Metric:
    return default_objective() if isinstance(read, StudyError) else read.objective


def _standing(
    row: StudyRow, read: StudySpec | StudyError, progress: Sequence[ArmProgress], alive: int, own: int
) -> Standing:
    if isinstance(read, StudyError):
        return Standing(row, _metric(read), "unreadable", progress, None, unreadable=read)
    remaining = left(read, progress)
    state = state_of(row.state, progress, remaining, alive)
    time = seconds_left(remaining, progress, own) if state == "running" else None
    return Standing(row, read.objective, state, progress, time, read.unit)


def alive_workers(storage: Storage) -> list[WorkerRow]:
    """The workers of the storage that are alive."""
    return [worker for worker in storage.ledger.workers() if worker.alive]
