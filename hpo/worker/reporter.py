"""What is written of a trial while it trains: its epochs, its checkpoints, and what its pruner asks and answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from optuna.trial import Trial

from hpo.errors import CheckpointError
from hpo.metric import Metric
from hpo.storage.connection.guarded import Rows
from hpo.storage.parts import LAST, SHARED
from hpo.storage.rows import Lease
from hpo.trainers.trainer import Evaluation
from hpo.worker.session import Session
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
    ) -> None:
        """Report of the leased cell, whose trial to Optuna is `trial`.

        `checkpoint` is where it goes on, and `kept` what the ledger keeps of that. After the units `shared_after`
        others go on from a checkpoint of this one.
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
        self._shared_after = shared_after
        self._metrics = study.spec.metrics
        self._objective: Metric = study.spec.objective
        self._kept = kept
        self._study_stopped = False
        self._saved_at = self._written_at = time.monotonic()
        about = {"arm": cell.arm, "phase": cell.phase, "seed": cell.seed, **trial.params}
        key = f"{lease.study_uuid}-{cell.id}"
        so_far = () if checkpoint is None or session.trackers.are_none else self._measured()
        self._mirror = session.trackers.begin(Run(study.spec.name, own_name, key, about, so_far))

    def _measured(self) -> list[tuple[int, Mapping[str, float | None]]]:
        """The curve so far, as the ledger has it; its end may be beyond the checkpoint, and is then trained again."""
        return [(point.at, point.metrics) for point in self._session.ledger.curve(self._lease.cell.id)]

    def report(self, evaluation: Evaluation, save: Callable[[], bytes] | None) -> bool:
        """Note what was measured, and say whether the trial goes on."""
        self._session.health.epoch_trained(self._lease.study_uuid)
        self.last = evaluation
        self._mirror.log(evaluation.at, evaluation.metrics)
        is_finite = evaluation.is_finite(self._metrics)
        at_rung = is_finite and self._pruner.at_rung(evaluation.at)
        if at_rung:
            self._trial.report(evaluation.metrics[self._objective.name], evaluation.at)
        # At the end there is nothing to save any more.
        looks = at_rung and evaluation.at < self._length and self._pruner.prunes
        answer = self._record(evaluation, is_finite, save, looks)
        if looks:
            self.was_pruned = self._trials.should_prune(self._trial, answer)
            self._trials.flush(self._trial)
        return not self.was_pruned

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
