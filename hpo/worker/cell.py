"""One cell from its claim to its end: build, train, report, finish."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from optuna.trial import Trial

from hpo.errors import CheckpointError, LeaseLost, MachineError
from hpo.space import Params
from hpo.storage.checkpoints import DatabaseCheckpoints
from hpo.storage.ledger import Ledger
from hpo.storage.rows import Lease
from hpo.storage.trials import Trials
from hpo.study import StudySpec
from hpo.train.clock import Evaluation
from hpo.train.data.images import Splits
from hpo.train.loop import Decision, Ended, Outcome, fit
from hpo.train.trial import TrialSpec
from hpo.worker.heartbeat import Heartbeat
from hpo.worker.options import WorkerOptions
from hpo.worker.patience import PASSING, Patience

log = logging.getLogger(__name__)

LONGEST_ERROR = 20_000
"""Characters of a traceback that are kept."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study as a worker sees it."""

    spec: StudySpec
    trials: Trials


class CellRun:
    """The work on one leased cell. `stop` asks it to save and let go."""

    def __init__(
        self,
        ledger: Ledger,
        study: Study,
        lease: Lease,
        options: WorkerOptions,
        checkpoints: DatabaseCheckpoints,
        heartbeat: Heartbeat,
        patience: Patience,
        stop: Event,
    ) -> None:
        self._ledger, self._study, self._lease, self._options = ledger, study, lease, options
        self._checkpoints = checkpoints
        self._heartbeat, self._patience, self._stop = heartbeat, patience, stop
        self._study_stopped = False
        self._saved_at = time.monotonic()

    def run(self, load: Callable[[TrialSpec, bool], Splits]) -> None:
        """Train the cell, or go on where another worker left it, until it ends or `stop` is set.

        Raises:
            LeaseLost: another worker holds the cell; nothing more may be written.
            MachineError: this machine lacks what the trial needs; the cell is still held.
        """
        try:
            self._run(load)
        except (LeaseLost, MachineError, *PASSING):
            raise
        except Exception as error:
            self._failed(error)

    def _run(self, load: Callable[[TrialSpec, bool], Splits]) -> None:
        cell = self._lease.cell
        if cell.ended is None and cell.attempts > self._study.spec.protocol.attempts:
            self._set_aside(cell.error or f"{cell.attempts - 1} workers in a row vanished without finishing an epoch")
            return
        trial, params = self._patience(lambda: self._study.trials.begin(self._lease))
        if cell.ended is not None:  # its worker vanished between the last epoch and the end of the books
            self._finish(trial, Outcome(Ended(cell.ended), cell.epochs), cell.score or 0.0)
            return
        outcome = self._train(trial, params, load)
        if outcome.ended is Ended.INTERRUPTED:
            self._let_go(outcome)
            return
        score = outcome.validation.accuracy if outcome.validation and outcome.ended is not Ended.DIVERGED else 0.0
        self._patience(
            lambda: self._ledger.conclude(self._lease, outcome.ended.value, score, outcome.validation, outcome.test)
        )
        self._finish(trial, outcome, score)

    def _train(self, trial: Trial, params: Params, load: Callable[[TrialSpec, bool], Splits]) -> Outcome:
        cell = self._lease.cell
        spec = self._study.spec.trial_of(cell.arm, params)
        splits = load(spec, cell.phase == "confirm")
        pruner = self._study.trials.pruner(cell)

        def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
            self._record(evaluation, checkpoint)
            if not evaluation.finite:
                return Decision.CONTINUE
            accuracy = evaluation.validation.accuracy
            prune = self._patience(
                lambda: self._study.trials.report(trial, pruner, evaluation.epoch, spec.epochs, accuracy)
            )
            return Decision.PRUNE if prune else Decision.CONTINUE

        try:
            kept = self._patience(lambda: self._ledger.checkpoint(self._lease)) if cell.claims > 1 else None
            resume = None if kept is None else self._checkpoints.fetch(kept)
            return fit(spec, cell.seed, splits, report, resume=resume, interrupted=self._interrupted)
        except CheckpointError as error:
            log.warning("cell %d: %s; the trial begins anew", cell.id, error)
            return fit(spec, cell.seed, splits, report, interrupted=self._interrupted)

    def _record(self, evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> None:
        due = time.monotonic() - self._saved_at >= self._options.checkpoint_seconds
        kept = self._keep(checkpoint()) if due and evaluation.finite else None
        state = self._patience(lambda: self._ledger.record(self._lease, evaluation, self._options.lease_seconds, kept))
        self._study_stopped = state == "stopped"
        if due:
            self._saved_at = time.monotonic()

    def _keep(self, content: bytes) -> bytes | None:
        try:
            return self._checkpoints.keep(self._lease, content)
        except CheckpointError as error:
            log.warning("cell %d: %s (%s)", self._lease.cell.id, error, error.hint)
            return None

    def _interrupted(self) -> bool:
        return self._stop.is_set() or self._study_stopped or self._heartbeat.lost.is_set()

    def _let_go(self, outcome: Outcome) -> None:
        if self._heartbeat.lost.is_set():
            raise LeaseLost(f"the lease of cell {self._lease.cell.id} is lost")
        kept = None if outcome.checkpoint is None else self._keep(outcome.checkpoint)
        self._patience(lambda: self._ledger.release(self._lease, kept))
        log.info("cell %d: let go after %d epochs, to be continued", self._lease.cell.id, outcome.epochs)

    def _finish(self, trial: Trial, outcome: Outcome, score: float) -> None:
        cell = self._lease.cell
        pruner, epochs = self._study.trials.pruner(cell), self._study.spec.epochs(cell.arm)
        ended = outcome.ended.value
        self._patience(lambda: self._study.trials.tell(trial, pruner, ended, outcome.epochs, epochs, score))
        self._patience(lambda: self._ledger.close(self._lease))
        self._checkpoints.forget(self._lease)
        log.info("cell %d: %s after %d epochs, validation accuracy %.4f", cell.id, ended, outcome.epochs, score)

    def _failed(self, error: Exception) -> None:
        cell, attempts = self._lease.cell, self._study.spec.protocol.attempts
        text = "".join(traceback.format_exception(error))[-LONGEST_ERROR:]
        if cell.attempts >= attempts:
            self._set_aside(text)
        else:
            self._patience(lambda: self._ledger.retry_later(self._lease, text))
            log.error("cell %d: attempt %d of %d failed, to be tried again\n%s", cell.id, cell.attempts, attempts, text)

    def _set_aside(self, error: str) -> None:
        self._patience(lambda: self._study.trials.fail(self._lease))
        self._patience(lambda: self._ledger.set_aside(self._lease, error))
        self._checkpoints.forget(self._lease)
        log.error("cell %d: set aside as failed\n%s", self._lease.cell.id, error)
