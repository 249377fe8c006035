"""What the tests of whole studies share: a small study, real worker processes, and what must hold at the end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import func, select

from hpo.errors import WorkLeft
from hpo.launch import local
from hpo.launch.local import LocalWorker, Placement
from hpo.rehearsal import OF_TIME
from hpo.search.space import merge
from hpo.service import find_study
from hpo.storage import Storage, open_storage
from hpo.storage.optuna.studies import names_in
from hpo.storage.rows import Cell, StudyRow
from hpo.storage.tables import checkpoint
from hpo.study import StudySpec
from hpo.study.file import parse
from hpo.trainers.images.data import Splits, split
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.loop import Decision, fit
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from hpo.worker import Worker, WorkerOptions

Result = TypeVar("Result")
Curve = list[tuple[Any, ...]]

TRIAL = {
    "epochs": 3,
    "batch_size": 32,
    "data": {"kind": "digits", "validation": 0.2, "train_limit": 200},
    "model": {"kind": "mlp", "hidden": [16]},
    "optimizer": {"kind": "sgd", "momentum": 0.9},
    "lr": {"kind": "cosine", "peak": 0.05},
    # With all of a trial's state: momentum, random numbers, a strength that answers to what was measured.
    "regularizers": {
        "dropout": {"kind": "dropout", "strength": 0.1},
        "l2": {"kind": "l2", "strength": 1e-3, "policy": {"kind": "accuracy_gap", "raise_above": 0.02}},
    },
    "gradient_norms": ["output.weight"],
}
"""A trial of about 30 ms."""
ONE_CELL = {"only": {"search": {"lr.peak": {"values": [0.05]}}}}


def make_study(
    arms: dict[str, Any] = ONE_CELL, name: str = "digits", trial: dict[str, Any] | None = None, **protocol: Any
) -> StudySpec:
    """A study on the digits: `trial` laid over the common one, `protocol` as in a study file."""
    return parse({"name": name, "trial": merge(TRIAL, trial or {}), "protocol": protocol, "arms": arms})


def wait_until(condition: Callable[[], Result], seconds: float = 90.0) -> Result:
    """Poll `condition` until it holds, and return what it gave; the test fails if it takes more than `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.04)
    return result


def work_here(storage: Storage, device: str = "cpu", track: tuple[str, ...] = ()) -> None:
    """One worker in this process, until nothing is left."""
    Worker(storage, [], WorkerOptions(device=device, track=track), Event()).run()


class Crew:
    """Real workers on one storage, each `python -m hpo worker` with a log of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.workers: list[LocalWorker] = []
        self._url, self._folder = url, folder

    def start(
        self,
        count: int = 1,
        *studies: str,
        lease: float = 2.0,
        checkpoint_every: float = 0.0,
        forever: bool = False,
        options: Sequence[str] = (),
    ) -> list[LocalWorker]:
        """Start `count` workers for `studies`, or for all."""
        given = [f"--lease={lease}", f"--checkpoint-every={checkpoint_every}", "--device=cpu", *options]
        given += ["--forever"] if forever else []
        began = len(self.workers)
        for number in range(began, began + count):
            log = self._folder / f"worker-{number}.log"
            self.workers.append(local.start(studies, Placement(tuple(given)), {"HPO_STORAGE": self._url}, log))
        return self.workers[began:]

    def wait(self, seconds: float = 90.0) -> None:
        """Wait until all have left: of their own accord, as they were asked to, or killed."""
        wait_until(lambda: all(worker.process.poll() is not None for worker in self.workers), seconds)
        as_planned = {0, WorkLeft.exit_code, -signal.SIGKILL}
        assert {worker.process.returncode for worker in self.workers} <= as_planned, self.said()

    def said(self) -> str:
        """All logs."""
        return "\n".join(worker.log.read_text() for worker in self.workers)

    def kill(self) -> None:
        """End those that still run, stopped ones too."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()


def held_cells(storage: Storage, crew: Crew, row: StudyRow) -> list[tuple[LocalWorker, Cell]]:
    """The cells that running workers of the crew hold now."""
    pids = {worker.id: worker.pid for worker in storage.ledger.workers()}
    running = {worker.process.pid: worker for worker in crew.workers if worker.process.poll() is None}
    leased = [cell for cell in storage.ledger.cells(row.id) if cell.state == "leased"]
    by_holder = [(running.get(pids.get(str(cell.worker), 0)), cell) for cell in leased]
    return [(worker, cell) for worker, cell in by_holder if worker is not None]


def holder_after(storage: Storage, crew: Crew, row: StudyRow, epochs: int) -> tuple[LocalWorker, Cell]:
    """Wait until a worker of the crew is in the middle of a cell, `epochs` epochs done or more."""

    def found() -> list[tuple[LocalWorker, Cell]]:
        held = held_cells(storage, crew, row)
        return [(worker, cell) for worker, cell in held if cell.epochs >= epochs and cell.ended is None]

    return wait_until(found)[0]


def the_cell(storage: Storage, row: StudyRow) -> Cell:
    """The cell of a study that has one."""
    (cell,) = storage.ledger.cells(row.id)
    return cell


def optuna_trials(url: str, study: StudySpec) -> list[FrozenTrial]:
    """All trials of a study, as a foreign program sees them."""
    names = names_in(study.name, study.model_dump_json())
    known = optuna.get_all_study_names(storage=url)
    return [
        trial
        for name in names
        if name in known
        for trial in optuna.load_study(study_name=name, storage=url).get_trials(deepcopy=False)
    ]


def check_study(url: str, name: str, crew: Crew) -> list[Cell]:
    """What holds for every study that is done, however it was disturbed; returns its cells."""
    crew.wait()
    assert "Traceback" not in crew.said()
    storage = open_storage(url)
    row, study = find_study(storage, name)
    cells = storage.ledger.cells(row.id)
    assert {"done"} == {cell.state for cell in cells}

    trials = {trial._trial_id: trial for trial in optuna_trials(url, study)}
    assert sorted(cell.id for cell in cells) == sorted(trial.user_attrs["cell"] for trial in trials.values())
    curves: dict[int, list[int]] = {cell.id: [] for cell in cells}
    for point in storage.ledger.curves(row.id):
        curves[point.cell_id].append(point.at)
    for cell in cells:
        trial = trials[cell.trial_id or 0]
        assert cell.id == trial.user_attrs["cell"]
        assert cell.params == trial.params
        assert (TrialState.PRUNED if cell.ended == "pruned" else TrialState.COMPLETE) == trial.state
        assert list(range(1, cell.epochs + 1)) == curves[cell.id]
        if cell.ended == "finished":
            assert study.arm(cell.arm).length == cell.epochs
            assert cell.score == trial.value
    with storage.engine.connect() as connection:
        assert 0 == connection.execute(select(func.count()).select_from(checkpoint)).scalar()
    storage.close()
    return cells


def stored_curve(storage: Storage, row: StudyRow, cell: Cell) -> Curve:
    """Everything of a cell's curve that is not a time."""
    return [
        (point.at, without_times(point.metrics)) for point in storage.ledger.curves(row.id) if point.cell_id == cell.id
    ]


def without_times(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """What was measured, but for what tells of time and differs from run to run."""
    return {name: value for name, value in metrics.items() if not name.startswith(OF_TIME)}


def undisturbed_curve(study: StudySpec, cell: Cell) -> Curve:
    """The same of the same cell, trained here in one go, without storage or worker."""
    trial, splits = trained(study, cell)
    curve: Curve = []

    def note(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        curve.append((evaluation.epoch, without_times(evaluation.reported().metrics)))
        return Decision.CONTINUE

    fit(trial, cell.seed, splits, note)
    return curve


def restored(study: StudySpec, cell: Cell, checkpoint: bytes) -> Run:
    """The cell's run as it was saved."""
    trial, splits = trained(study, cell)
    run = Run(trial, cell.seed, splits)
    run.restore(checkpoint)
    return run


def trained(study: StudySpec, cell: Cell) -> tuple[TrialSpec, Splits]:
    """What the cell trains, and on which images; from here on with one thread, as workers do."""
    torch.set_num_threads(1)
    trial = study.trial_of(cell.arm, cell.params or {})
    return trial, split(trial.data.load(), trial.data, with_test=False, device=torch.device("cpu"))
