"""What the rules of the ledger's test work with: the study, the workers' runs, and the model beside the ledger."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine
from optuna.trial import Trial

from hpo.service import begin_study
from hpo.storage import Storage
from hpo.storage.checkpoints import IN_PARTS, DatabaseCheckpoints
from hpo.storage.optuna.trials import Trials
from hpo.storage.parts import LAST, Parts
from hpo.storage.rows import Lease, PrefixCheckpoint
from hpo.trainers.trainer import Evaluation
from tests.integration.helpers import make_study
from tests.integration.ledger_model import LedgerModel
from tests.integration.ledger_tables import BUDGET, GRID, POINTS, RANDOM, SEEDS

STUDY = make_study(
    {
        GRID: {"search": {"lr.peak": {"values": list(POINTS)}}},
        RANDOM: {
            "sampler": {"kind": "random"},
            "pruner": {"kind": "median"},
            "budget": {"epochs": BUDGET},
            "search": {"lr.peak": {"low": 0.001, "high": 0.1}},
        },
    },
    confirm={"top": 1, "seeds": SEEDS},
)
Item = TypeVar("Item")
GONE, LONG = -1.0, 600.0
"""Seconds of a lease that has run out when it is given, and of one that does not run out here."""
PART = 16
"""Bytes, in place of a megabyte."""
MOST_LATE = 8
"""Leases that are lost and kept in mind."""


@dataclass
class Run:
    """A worker's work on a leased cell."""

    lease: Lease
    epochs: int = 0
    """Trained, or gone on from."""
    trial: Trial | None = None
    """None: it has not begun."""
    kept: bytes | None = None
    """Its last checkpoint, as the ledger keeps it."""

    @property
    def cell(self) -> int:
        return self.lease.cell.id


def evaluation(epoch: int, seconds: float) -> Evaluation:
    return Evaluation(epoch, seconds, {"validation_accuracy": 0.5})


def one_of(items: Sequence[Item], which: int) -> Item:
    return items[which % len(items)]


def seconds_of(epochs: Sequence[Evaluation]) -> list[tuple[int, float]]:
    return [(epoch.at, epoch.seconds) for epoch in epochs]


LATE: dict[str, Callable[[Storage, Lease], object]] = {
    "begin_trial": lambda storage, lease: storage.ledger.begin_trial(lease, f"digits/{GRID}", datetime.now()),
    "propose": lambda storage, lease: storage.ledger.propose(lease, {}),
    "renew": lambda storage, lease: storage.ledger.renew(lease, LONG),
    "record": lambda storage, lease: storage.ledger.record(lease, [evaluation(3, 9.0)], LONG, b"late", forked=b"late"),
    "part": lambda storage, lease: Parts(storage.database).write(lease, b"late", LAST),
    "release": lambda storage, lease: storage.ledger.release(lease, b"late", "late"),
    "retry_later": lambda storage, lease: storage.ledger.retry_later(lease, "late", "late"),
    "fail": lambda storage, lease: storage.ledger.fail(lease, "late", "late"),
    "wait": lambda storage, lease: storage.ledger.wait_for(lease, PrefixCheckpoint(lease.cell.id, 1)),
    "fork": lambda storage, lease: storage.ledger.go_on_from(lease, None),
    "finish": lambda storage, lease: storage.ledger.finish(lease, "finished", 1.0, {}),
}
"""What a worker may attempt whose lease is lost."""


class Bench(RuleBasedStateMachine):
    """One study in the ledger, and the model of it."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage, self.ledger = storage, storage.ledger
        self.checkpoints = DatabaseCheckpoints(Parts(storage.database))
        self.late: list[Lease] = []
        """Lost or given back: nothing more may be written under them."""
        self.launch()

    def launch(self) -> None:
        """Plan the study."""
        self.model = LedgerModel()
        self.running: list[Run] = []
        self.finished: list[Callable[[], object]] = []
        """The calls by which cells were finished."""
        self.seen: list[dict[str, Hashable]] = [{}, {}]
        """What two workers that plan keep in mind."""
        self.seconds = self.made = 0
        self.row = begin_study(self.storage, STUDY)
        self.trials = Trials(self.storage, STUDY)
        self.model.add(self.model.first_cells(), [cell.id for cell in self.ledger.cells(self.row.id)])

    def waiting(self) -> list[Run]:
        """What has been claimed and not begun."""
        return [run for run in self.running if run.trial is None]

    def training(self) -> list[Run]:
        return [run for run in self.running if run.trial is not None]

    def leave(self, run: Run) -> None:
        """The run's lease is worth nothing any more."""
        if run in self.running:
            self.running.remove(run)
        self.late = [*self.late, run.lease][-MOST_LATE:]

    def train(self, begin: int, end: int) -> list[Evaluation]:
        """The epochs from `begin` to `end`, no two of which took as long."""
        epochs = range(begin, end + 1)
        self.seconds += len(epochs)
        return [evaluation(epoch, float(self.seconds - end + epoch)) for epoch in epochs]

    def report(self, run: Run, begin: int, but_for_the_last: bool = False) -> Trial:
        """Report the epochs from `begin` on to Optuna, as far as an earlier run has not done so."""
        assert run.trial is not None
        steps = range(begin, run.epochs + 1 - but_for_the_last)
        for step in steps:
            if step not in self.model.steps(run.cell):
                run.trial.report(0.5, step)
        self.model.report(run.cell, steps)
        return run.trial

    def keep(self, run: Run, how: str, use: str) -> bytes | None:
        """A checkpoint after the epochs so far, and no other like it."""
        if how == "not at all":
            return None
        self.made += 1
        content = b"%d:%d:" % (run.epochs, self.made)
        kept = self.checkpoints.keep(run.lease, content.ljust(3 * PART, b".") if how == "in parts" else content, use)
        if kept != content:
            key, name, number = kept.removeprefix(IN_PARTS).decode().split("/")
            self.model.parts[int(key), name] = int(number)
        return kept

    def note_saved(self, run: Run, saved: bytes | None) -> None:
        """The ledger has this checkpoint in place of the one before."""
        if saved is None:
            return
        self.model.checkpoints[run.cell] = saved
        if run.kept is not None:
            self.checkpoints.discard(run.kept)
            self.model.discard(run.kept)
        run.kept = saved

    def epochs_in(self, kept: bytes) -> int:
        """After how many epochs a checkpoint was made."""
        return int(self.checkpoints.fetch(kept).split(b":")[0])
