"""What is written of a trial while it trains: its epochs, its checkpoints, and what its pruner asks and answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from optuna.trial import Trial

from hpo.errors import CheckpointError
from hpo.evidence.contrasts import moments_of_claims
from hpo.metric import Metric
from hpo.storage.connection.guarded import Rows
from hpo.storage.parts import LAST, SHARED
from hpo.storage.rows import Lease
from hpo.trainers.trainer import Evaluation
from hpo.worker.session import Session
from hpo.worker.spent import Spent, in_vain
from hpo.worker.studies import Study
from hpo.worker.tracking import Run

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
"""Epochs shorter than this are written together, at the latest when a pruner looks or the trial ends."""
MOST_TOGETHER = 200
"""Epochs in one statement: SQLite takes no more than 500."""


class Reporter:
    """One trial on this worker: the `Trial` that its trainer is handed, and what is written of it."""

    def __init__(
        self,
        session: Session,
        study: Study,
        lease: Lease,
        trial: Trial,
        config: Any,
        checkpoint: bytes | None,
        shared_after: frozenset[int],
        kept: bytes | None,
        spent: Spent,
    ) -> None:
        """Report of the leased cell, whose trial to Optuna is `trial`.

        `checkpoint` is where it goes on, and `kept` what the ledger keeps of that. After the units `shared_after`
        others go on from a checkpoint of this one. `spent` began with the claim.
        """
        self.config = config
        self.seed = lease.cell.seed
        self.device = session.machine(study.spec.trainer).device
        self.study = lease.study_uuid
        cell = lease.cell
        own_name = f"{cell.id}-{cell.arm}-{cell.phase}-seed-{cell.seed}"
        self.name = f"{study.spec.name}/{own_name}"
        self.scores_test = lease.cell.phase == "confirm"
        self.keeps_weights = self.scores_test and study.spec.protocol.keep_weights
        self.checkpoint = checkpoint

        self.last: Evaluation | None = None
        """What was reported last, by this worker."""
        self.was_pruned = False
        self.unwritten: list[Evaluation] = []
        """What is not in the ledger yet."""

        self._session = session
        self._trials = study.trials
        self._lease = lease
        self._trial = trial
        self._pruner = study.trials.pruner(lease.cell)
        self._length = study.spec.arm(lease.cell.arm).length
        self._moments = moments_of_claims(study.spec)
        self._shared_after = shared_after
        self._metrics = study.spec.metrics
        self._objective: Metric = study.spec.objective
        self._kept = kept
        self._spent = spent
        self._study_stopped = False
        self._saved_at = self._written_at = time.monotonic()
        about = {"arm": cell.arm, "phase": cell.phase, "seed": cell.seed, **trial.params}
        key = f"{lease.study_uuid}-{cell.id}"
        so_far = () if checkpoint is None or session.trackers.are_none else self._measured()
        self._mirror = session.trackers.begin(Run(study.spec.name, own_name, key, about, so_far))

    def _measured(self) -> list[tuple[int, Mapping[str, float | None]]]:
        """The curve so far, as the ledger has it; its end may be beyond the checkpoint, and is then trained again."""
        return [(point.at, point.metrics) for point in self._session.ledger.curve(self._lease.cell.id)]

    def looks_at(self, at: int) -> bool:
        """Whether the pruner, or a claim, looks at the scores after so many units."""
        return at in self._moments or (self._pruner.prunes and self._pruner.at_rung(at))

    def report(self, evaluation: Evaluation, save: Callable[[], bytes] | None) -> bool:
        """Note what was measured, and say whether the trial goes on."""
        self._session.health.epoch_trained(self._lease.study_uuid)
        self._mirror.log(evaluation.at, evaluation.metrics)
        evaluation = self._spent.told(evaluation, self._trained_in_vain(evaluation.at))
        self.last = evaluation
        is_finite = evaluation.is_finite(self._metrics)
        is_scored = self._objective.name in evaluation.metrics
        at_rung = is_finite and is_scored and self._pruner.at_rung(evaluation.at)
        if at_rung:
            self._trial.report(evaluation.metrics[self._objective.name], evaluation.at)
        # At the end there is nothing to save any more.
        looks = at_rung and evaluation.at < self._length and self._pruner.prunes
        answer = self._record(evaluation, is_finite, save, looks)
        if looks:
            self.was_pruned = self._trials.should_prune(self._trial, answer)
            self._trials.flush(self._trial)
        self._spent.goes_on()
        return not self.was_pruned

    def _trained_in_vain(self, at: int) -> float:
        """The seconds of an attempt before that are lost, as is seen where this one reports first."""
        if self.last is not None or self._lease.cell.claims == 1:
            return 0.0
        return in_vain(self._session.ledger.curve(self._lease.cell.id), at)

    def last_words(self) -> list[Evaluation]:
        """What is to be written with the trial's end: what is not written yet, and with the last unit what followed."""
        if self.last is None:
            return self.unwritten
        return [*self.unwritten[:-1], self._spent.told_at_end(self.last)]

    def should_stop(self) -> bool:
        """Whether the trial is to be saved and let go."""
        if self.unwritten and time.monotonic() - self._written_at >= FLUSH_SECONDS:
            self.flush()  # short units before a long one must not wait for its end
        return self._study_stopped or self._session.heartbeat.asked_to_let_go()

    @property
    def has_diverged(self) -> bool:
        """Whether what was measured last is not a number."""
        return self.last is not None and not self.last.is_finite(self._metrics)

    def show_end(self, how: str, metrics: Mapping[str, float | None] | None = None) -> None:
        """Tell trackers how the trial ended on this worker."""
        self._mirror.end(how, metrics or {})

    def flush(self) -> None:
        """Statement the epochs that are not written yet."""
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

    def _record(
        self, evaluation: Evaluation, is_finite: bool, save: Callable[[], bytes] | None, looks: bool
    ) -> Rows | None:
        self.unwritten.append(evaluation)
        now = time.monotonic()
        due = save is not None and now - self._saved_at >= self._session.options.checkpoint_seconds
        shared = is_finite and evaluation.at in self._shared_after
        answer = None
        many = len(self.unwritten) >= MOST_TOGETHER
        if looks or due or shared or many or now - self._written_at >= FLUSH_SECONDS:
            saved = self._keep(save(), LAST) if save is not None and due and is_finite else None
            for_others = self._keep(save(), SHARED) if save is not None and shared else None
            answer = self._write(saved, for_others, looks)
        if due:
            self._saved_at = time.monotonic()
        return answer

    def _write(self, saved: bytes | None, for_others: bytes | None, looks: bool) -> Rows | None:
        if not self.unwritten:
            return None
        question = self._trials.prefetch_query(self._trial) if looks else None
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
            log.warning("trial %d: %s (%s)", self._lease.cell.id, error, error.hint)
            return None
