"""One cell from its claim to its end: build, train, report, finish."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from optuna.trial import Trial

from hpo.errors import CheckpointError, LeaseLost, MachineError
from hpo.search import NoPruner
from hpo.space import Params
from hpo.storage.checkpoints import DatabaseCheckpoints
from hpo.storage.ledger import Ledger
from hpo.storage.rows import Fork, Lease
from hpo.storage.sqlstate import is_database_error
from hpo.storage.together import Answer, Reading
from hpo.storage.trials import Trials
from hpo.study import StudySpec
from hpo.train.clock import Evaluation
from hpo.train.data.images import Splits
from hpo.train.loop import Decision, Ended, Outcome, fit
from hpo.train.trial import TrialSpec
from hpo.worker.heartbeat import Heartbeat
from hpo.worker.options import WorkerOptions
from hpo.worker.sharing import Sharing

log = logging.getLogger(__name__)

TOGETHER_SECONDS = 0.5
"""Epochs shorter than this are written together, at the latest when a pruner looks or the trial ends."""
LONGEST_ERROR = 20_000
"""Characters of a traceback that are kept."""


Load = Callable[[TrialSpec, bool], Splits]
"""(trial, whether it is scored on test) -> its images, on the worker's device."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study as a worker sees it."""

    spec: StudySpec
    trials: Trials
    _sharing: dict[int, Sharing] = field(default_factory=dict)

    def sharing(self, images: int) -> Sharing:
        """What its cells have in common, on so many training images."""
        return self._sharing.setdefault(images, Sharing(self.spec, images))


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
        stop: Event,
    ) -> None:
        self._ledger, self._study, self._lease, self._options = ledger, study, lease, options
        self._checkpoints = checkpoints
        self._heartbeat, self._stop = heartbeat, stop
        self._study_stopped = False
        self._kept_for_others: frozenset[int] = frozenset()
        self._saved_at = self._written_at = time.monotonic()
        self._unwritten: list[Evaluation] = []

    def run(self, load: Load) -> None:
        """Train the cell, or go on where another worker left it, until it ends or `stop` is set.

        Raises:
            LeaseLost: another worker holds the cell; nothing more may be written.
            MachineError: this machine lacks what the trial needs; the cell is still held.
        """
        try:
            self._run(load)
        except (LeaseLost, MachineError):
            raise
        except Exception as error:
            if is_database_error(error):
                raise
            self._failed(error)

    def _run(self, load: Load) -> None:
        cell = self._lease.cell
        if cell.attempts > self._study.spec.protocol.attempts:
            self._set_aside(cell.error or f"{cell.attempts - 1} workers in a row vanished without finishing an epoch")
            return
        own = self._ledger.checkpoint(self._lease) if cell.claims > 1 else None
        place, later = self._meet(load)
        if own is None and later is not None:
            self._ledger.wait(self._lease, later)
            log.info("cell %d: waits for epoch %d of cell %d", cell.id, later.epochs, later.cell)
            return
        trial, params = self._study.trials.begin(self._lease)
        resume = self._fork(trial, place) if own is None else self._fetched(own)
        try:
            outcome = self._train(trial, params, load, resume)
        except LeaseLost:
            raise
        except Exception as error:
            if not is_database_error(error):
                self._write(trial)
            raise
        if outcome.ended is Ended.INTERRUPTED:
            self._let_go(trial, outcome)
            return
        self._finish(trial, outcome)

    def _meet(self, load: Load) -> tuple[Fork | None, Fork | None]:
        """From where in another cell's trial this one can go on at once, and for what it should rather wait."""
        cell, study_id = self._lease.cell, self._lease.study_id
        if cell.params is None or not self._study.spec.protocol.share_prefixes:
            return None, None
        spec = self._study.spec.trial_of(cell.arm, cell.params)
        sharing = self._study.sharing(len(load(spec, cell.phase == "confirm").train))
        cells = self._ledger.cells(study_id)
        kept = self._ledger.forks(study_id)
        self._kept_for_others = sharing.kept_for_others(cell, cells)
        return sharing.begin(cell, cells, kept)

    def _fork(self, trial: Trial, place: Fork | None) -> bytes | None:
        """The checkpoint of another cell from which this one goes on, its epochs taken over; None to begin anew."""
        cell, trials = self._lease.cell, self._study.trials
        if place is None and cell.leader is None:
            return None
        found = self._ledger.fork(self._lease, place)
        if place is None or found is None:
            return None
        content, points = found
        for point in points:
            if trials.pruner(cell).at_rung(point.epoch) and point.validation_accuracy is not None:
                trial.report(point.validation_accuracy, point.epoch)
        trials.flush(trial)
        log.info("cell %d: goes on after epoch %d of cell %d", cell.id, place.epochs, place.cell)
        return content

    def _fetched(self, kept: bytes) -> bytes | None:
        try:
            return self._checkpoints.fetch(kept)
        except CheckpointError as error:
            self._begin_anew(error)
            return None

    def _begin_anew(self, error: CheckpointError) -> None:
        log.warning("cell %d: %s; the trial begins anew", self._lease.cell.id, error)

    def _train(self, trial: Trial, params: Params, load: Load, resume: bytes | None) -> Outcome:
        cell = self._lease.cell
        spec = self._study.spec.trial_of(cell.arm, params)
        splits = load(spec, cell.phase == "confirm")
        pruner = self._study.trials.pruner(cell)

        def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
            trials, epoch = self._study.trials, evaluation.epoch
            rung = evaluation.finite and pruner.at_rung(epoch)
            if rung:
                trial.report(evaluation.validation.accuracy, epoch)
            # At the last epoch there is nothing to save any more.
            looks = rung and epoch < spec.epochs and not isinstance(pruner, NoPruner)
            answer = self._record(trial, evaluation, checkpoint, looks)
            if not looks:
                return Decision.CONTINUE
            prune = trials.should_prune(trial, answer)
            trials.flush(trial)
            return Decision.PRUNE if prune else Decision.CONTINUE

        try:
            return fit(spec, cell.seed, splits, report, resume=resume, interrupted=self._interrupted)
        except CheckpointError as error:
            self._begin_anew(error)
            return fit(spec, cell.seed, splits, report, interrupted=self._interrupted)

    def _record(
        self, trial: Trial, evaluation: Evaluation, checkpoint: Callable[[], bytes], looks: bool
    ) -> Answer | None:
        self._unwritten.append(evaluation)
        due = time.monotonic() - self._saved_at >= self._options.checkpoint_seconds
        forks = evaluation.finite and evaluation.epoch in self._kept_for_others
        answer = None
        if looks or due or forks or time.monotonic() - self._written_at >= TOGETHER_SECONDS:
            kept = self._keep(checkpoint()) if due and evaluation.finite else None
            question = self._study.trials.pruners_question(trial) if looks else None
            answer = self._write(trial, kept, checkpoint() if forks else None, question)
        if due:
            self._saved_at = time.monotonic()
        return answer

    def _write(
        self,
        trial: Trial,
        kept: bytes | None = None,
        forked: bytes | None = None,
        question: Reading | None = None,
    ) -> Answer | None:
        if not self._unwritten:
            return None
        epochs, seconds, reported = self._unwritten, self._options.lease_seconds, self._study.trials.changes(trial)
        state, answer = self._ledger.record(self._lease, epochs, seconds, kept, reported, forked, question)
        self._study_stopped = state == "stopped"
        self._unwritten, self._written_at = [], time.monotonic()
        return answer if question else None

    def _keep(self, content: bytes) -> bytes | None:
        try:
            return self._checkpoints.keep(self._lease, content)
        except CheckpointError as error:
            log.warning("cell %d: %s (%s)", self._lease.cell.id, error, error.hint)
            return None

    def _interrupted(self) -> bool:
        return self._stop.is_set() or self._study_stopped or self._heartbeat.lost.is_set()

    def _let_go(self, trial: Trial, outcome: Outcome) -> None:
        if self._heartbeat.lost.is_set():
            raise LeaseLost(f"the lease of cell {self._lease.cell.id} is lost")
        self._write(trial)
        kept = None if outcome.checkpoint is None else self._keep(outcome.checkpoint)
        self._ledger.release(self._lease, kept)
        log.info("cell %d: let go after %d epochs, to be continued", self._lease.cell.id, outcome.epochs)

    def _finish(self, trial: Trial, outcome: Outcome) -> None:
        cell, ended, validation = self._lease.cell, outcome.ended.value, outcome.validation
        score = validation.accuracy if validation and outcome.ended is not Ended.DIVERGED else 0.0
        pruner, epochs = self._study.trials.pruner(cell), self._study.spec.epochs(cell.arm)
        told = self._study.trials.tell(trial, pruner, ended, outcome.epochs, epochs, score)
        self._ledger.finish(self._lease, ended, score, validation, outcome.test, told, self._unwritten)
        self._checkpoints.forget(self._lease)
        if self._study.spec.protocol.share_prefixes:
            self._ledger.forget_forks(self._lease.study_id)
        log.info("cell %d: %s after %d epochs, validation accuracy %.4f", cell.id, ended, outcome.epochs, score)

    def _failed(self, error: Exception) -> None:
        cell, attempts = self._lease.cell, self._study.spec.protocol.attempts
        text = "".join(traceback.format_exception(error))[-LONGEST_ERROR:]
        if cell.attempts >= attempts:
            self._set_aside(text)
        else:
            self._ledger.retry_later(self._lease, text, last_line(text))
            log.error("cell %d: attempt %d of %d failed, to be tried again\n%s", cell.id, cell.attempts, attempts, text)

    def _set_aside(self, error: str) -> None:
        failed = self._study.trials.failure(self._lease)
        self._ledger.set_aside(self._lease, error, last_line(error), failed)
        self._checkpoints.forget(self._lease)
        log.error("cell %d: set aside as failed\n%s", self._lease.cell.id, error)


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]
