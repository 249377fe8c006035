"""What is written of a trial while it trains: its epochs, its checkpoints, and what its pruner asks and answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from optuna.trial import Trial

from hpo import pulse, trainer
from hpo.errors import CheckpointError
from hpo.storage.parts import LAST, SHARED
from hpo.storage.rows import Lease
from hpo.storage.together import Answer
from hpo.train.clock import Evaluation
from hpo.train.loop import Decision
from hpo.worker.session import Session
from hpo.worker.studies import Study

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
"""Epochs shorter than this are written together, at the latest when a pruner looks or the trial ends."""


class Reporter:
    """Of one trial, `epochs` long. `shared_after` are the epochs after which other cells go on from a checkpoint."""

    def __init__(
        self,
        session: Session,
        study: Study,
        lease: Lease,
        trial: Trial,
        epochs: int,
        shared_after: frozenset[int],
        kept: bytes | None,
    ) -> None:
        self._session, self._trials, self._lease, self._trial = session, study.trials, lease, trial
        self._pruner = study.trials.pruner(lease.cell)
        self._epochs, self._shared_after = epochs, shared_after
        self._objective = study.spec.objective
        self._kept = kept
        self._study_stopped = False
        self._saved_at = self._written_at = time.monotonic()
        self.unwritten: list[trainer.Evaluation] = []
        """Epochs that are not in the ledger yet."""

    def report(self, evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        """Note an epoch, and say whether the trial goes on."""
        self._session.health.epoch_trained(self._lease.study_uuid)
        epoch = evaluation.epoch
        rung = evaluation.finite and self._pruner.at_rung(epoch)
        if rung:
            self._trial.report(evaluation.validation.of(self._objective), epoch)
        # At the last epoch there is nothing to save any more.
        looks = rung and epoch < self._epochs and self._pruner.prunes
        answer = self._record(evaluation, checkpoint, looks)
        if not looks:
            return Decision.CONTINUE
        prune = self._trials.should_prune(self._trial, answer)
        self._trials.flush(self._trial)
        return Decision.PRUNE if prune else Decision.CONTINUE

    def interrupted(self) -> bool:
        """Whether the trial is to be saved and let go; asked before every step, which shows that it makes progress."""
        pulse.beat()
        return self._study_stopped or self._session.heartbeat.asked_to_let_go()

    def flush(self) -> None:
        """Write the epochs that are not written yet."""
        self._write(None, None, looks=False)

    def save(self, content: bytes, use: str = LAST) -> bytes | None:
        """Keep a checkpoint, and return what the ledger is to keep of it; None if it can't be kept, which is said."""
        return self._keep(content, use)

    def kept(self, saved: bytes | None) -> None:
        """The ledger has `saved` now, so the one before is not needed any more."""
        if saved is None:
            return
        if self._kept is not None:
            self._session.checkpoints.discard(self._kept)
        self._kept = saved

    def _record(self, evaluation: Evaluation, checkpoint: Callable[[], bytes], looks: bool) -> Answer | None:
        self.unwritten.append(evaluation.reported())
        now = time.monotonic()
        due = now - self._saved_at >= self._session.options.checkpoint_seconds
        shared = evaluation.finite and evaluation.epoch in self._shared_after
        answer = None
        if looks or due or shared or now - self._written_at >= FLUSH_SECONDS:
            saved = self._keep(checkpoint(), LAST) if due and evaluation.finite else None
            for_others = self._keep(checkpoint(), SHARED) if shared else None
            answer = self._write(saved, for_others, looks)
        if due:
            self._saved_at = time.monotonic()
        return answer

    def _write(self, saved: bytes | None, for_others: bytes | None, looks: bool) -> Answer | None:
        if not self.unwritten:
            return None
        question = self._trials.pruners_question(self._trial) if looks else None
        state, answer = self._session.ledger.record(
            self._lease,
            self.unwritten,
            self._session.options.lease_seconds,
            saved,
            self._trials.changes(self._trial),
            for_others,
            question,
        )
        self._study_stopped = state != "running"
        self.unwritten, self._written_at = [], time.monotonic()
        self.kept(saved)
        return answer if question else None

    def _keep(self, content: bytes, use: str) -> bytes | None:
        try:
            return self._session.checkpoints.keep(self._lease, content, use)
        except CheckpointError as error:
            log.warning("cell %d: %s (%s)", self._lease.cell.id, error, error.hint)
            return None
