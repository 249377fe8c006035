"""One cell from its claim to its end: meet those that begin alike, train or go on, and finish, save or fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from optuna.trial import Trial

from hpo.errors import CheckpointError, LeaseLost, MachineError, SickMachine, StudyError
from hpo.process.pulse import Interrupted
from hpo.storage.connection.sqlstate import is_database_error
from hpo.storage.parts import FINAL
from hpo.storage.rows import Lease, PrefixCheckpoint, value_of
from hpo.storage.states import SEARCH
from hpo.trainers.trainer import Result
from hpo.worker import failures
from hpo.worker.reporter import Reporter
from hpo.worker.session import Session
from hpo.worker.spent import Spent
from hpo.worker.studies import Studies, Study

log = logging.getLogger(__name__)


def run_cell(session: Session, studies: Studies, lease: Lease) -> None:
    """Train the cell, or go on where another worker left it, until it ends or the worker is asked to let go.

    Raises:
        LeaseLost: another worker holds the cell; nothing more may be written.
        MachineError: this machine lacks what the trial needs; the cell is still held.
        StudyError: this hpo can't read the study, or Optuna's side of it is not ours; the cell is still held.
        SickMachine: this machine had better train nothing; the cell is given back.
    """
    cell, study = lease.cell, studies.of(lease)
    log.info("trial %d: %s, %s, seed %d", cell.id, cell.arm, cell.phase, cell.seed)
    try:
        _CellRun(session, studies, study, lease).run()
    except Interrupted:  # while its images were read: nothing has been trained here
        session.ledger.release(lease)
        log.info("trial %d: given back before it began", cell.id)
    except (LeaseLost, MachineError, SickMachine, StudyError):
        raise
    except Exception as error:
        if is_database_error(error):
            raise
        failures.failed(session, study, lease, error)


class _CellRun:
    """The work on one leased cell."""

    def __init__(self, session: Session, studies: Studies, study: Study, lease: Lease) -> None:
        self._session = session
        self._studies = studies
        self._study = study
        self._lease = lease
        self._ledger = session.ledger
        self._spent = Spent(time.monotonic())

    def run(self) -> None:
        cell, attempts = self._lease.cell, self._study.spec.protocol.attempts
        if cell.attempts > attempts:
            self._fail(cell.error or f"{cell.attempts - 1} workers in a row disappeared before they finished an epoch")
            return
        kept = self._ledger.checkpoint(self._lease) if cell.claims > 1 else None
        place, later, shared_after = self._find_prefix()
        if kept is None and later is not None:
            self._ledger.wait_for(self._lease, later)
            log.info("trial %d: waits for epoch %d of trial %d", cell.id, later.epochs, later.cell)
            return
        trial, params = self._study.trials.begin(self._lease)
        resume = self._go_on_from(trial, place) if kept is None else self._fetched(kept)
        config = self._study.spec.trial_of(cell.arm, params, cell.search, cell.confirm_seed)
        self._studies.check_data(self._lease, config)
        reporter = Reporter(
            self._session, self._study, self._lease, trial, config, resume, shared_after, kept, self._spent
        )
        try:
            result = self._train(reporter)
        except Exception as error:
            if not self._is_too_large(error):
                reporter.show_end("failed")
                raise
            self._end_as_too_large(trial, reporter)
            return
        ended = _conclusion(reporter, result)
        if ended is None:
            self._release(reporter, result)
        else:
            self._finish(trial, reporter, result, ended)
            self._session.health.finished(self._lease.study_uuid, cell.id)

    def _find_prefix(self) -> tuple[PrefixCheckpoint | None, PrefixCheckpoint | None, frozenset[int]]:
        """Where in another cell's trial this one can go on at once, for what it should rather wait, and after which of
        its own epochs others will go on."""
        cell, spec = self._lease.cell, self._study.spec
        if cell.params is None or not spec.protocol.share_prefixes:
            return None, None, frozenset()
        self._studies.check_data(self._lease, spec.trial_of(cell.arm, cell.params, cell.search, cell.confirm_seed))
        prefix_plan = self._study.prefix_plan
        cells = self._ledger.cells(self._lease.study_id)
        kept = self._ledger.prefix_checkpoints(self._lease.study_id)
        place, later = prefix_plan.begin(cell, cells, kept)
        return place, later, prefix_plan.kept_for_others(cell, cells)

    def _go_on_from(self, trial: Trial, place: PrefixCheckpoint | None) -> bytes | None:
        """The checkpoint of another cell from which this one goes on, its epochs taken over; None to begin anew."""
        cell, trials = self._lease.cell, self._study.trials
        if place is None and cell.leader is None:
            return None
        found = self._ledger.go_on_from(self._lease, place)
        if place is None or found is None:
            return None
        kept, points = found
        for point in points:
            value = value_of(self._study.spec.objective, point)
            if trials.pruner(cell).at_rung(point.at) and value is not None:
                trial.report(value, point.at)
        trials.flush(trial)
        log.info("trial %d: continues after epoch %d of trial %d", cell.id, place.epochs, place.cell)
        return self._fetched(kept)

    def _fetched(self, kept: bytes) -> bytes | None:
        try:
            return self._session.checkpoints.fetch(kept)
        except CheckpointError as error:
            self._begin_anew(error)
            return None

    def _begin_anew(self, error: CheckpointError) -> None:
        log.warning("trial %d: %s; the trial starts over", self._lease.cell.id, error)
        self._ledger.go_on_from(self._lease, None)  # what another cell had trained for this one it trains itself now

    def _train(self, reporter: Reporter) -> Result:
        trainer = self._study.spec.trainer
        try:
            try:
                return trainer.run(reporter)
            except CheckpointError as error:
                self._begin_anew(error)
            reporter.checkpoint = None
            return trainer.run(reporter)
        except Exception as error:
            if not isinstance(error, LeaseLost) and not is_database_error(error):
                reporter.flush()
            raise

    def _release(self, reporter: Reporter, result: Result) -> None:
        if self._session.heartbeat.lost.is_set():
            raise LeaseLost(f"the lease of trial {self._lease.cell.id} is lost")
        reporter.flush()
        saved = None if result.checkpoint is None else reporter.save(result.checkpoint)
        self._ledger.release(self._lease, saved)
        reporter.kept(saved)
        reporter.show_end("interrupted")
        log.info(
            "trial %d: given back after %d epochs, to be continued", self._lease.cell.id, self._length_so_far(reporter)
        )

    def _is_too_large(self, error: Exception) -> bool:
        machine = self._session.machine(self._study.spec.trainer)
        return self._lease.cell.phase == SEARCH and machine.is_too_small(error)

    def _end_as_too_large(self, trial: Trial, reporter: Reporter) -> None:
        """A point of the search for which no device of this size has memory is a bad one: trying again is no help."""
        device = self._session.machine(self._study.spec.trainer).description
        reason = f"out of memory, although nothing else runs on {device}"
        self._finish(trial, reporter, Result(finished=False), "diverged", reason)
        failures.point_failed(self._session, self._lease, reason)

    def _finish(self, trial: Trial, reporter: Reporter, result: Result, ended: str, reason: str | None = None) -> None:
        cell, spec, trials = self._lease.cell, self._study.spec, self._study.trials
        at = self._length_so_far(reporter)
        validation = {**self._validation(reporter), **result.validation}
        score = spec.objective.worst if ended == "diverged" else self._score(reporter, validation)
        known_until = at if reporter.has_diverged else at + 1
        to_write = trials.tell(trial, trials.pruner(cell), ended, known_until, spec.arm(cell.arm).length, score)
        last_words = reporter.last_words()
        weights = None if result.weights is None else reporter.save(result.weights, FINAL)
        metrics = {**validation, **result.test}
        is_told = self._ledger.finish(self._lease, ended, score, metrics, to_write, last_words, weights, reason)
        if not is_told:
            trials.heal_if_possible(self._lease)
        self._clear_up()
        reporter.show_end(ended, metrics)
        reached = "" if score is None else f", {spec.objective.words} {score:.4f}"
        log.info("trial %d: %s after %d epochs%s%s", cell.id, ended, at, reached, f": {reason}" if reason else "")

    def _length_so_far(self, reporter: Reporter) -> int:
        return self._lease.cell.epochs if reporter.last is None else reporter.last.at

    def _validation(self, reporter: Reporter) -> Mapping[str, float | None]:
        """The metrics of validation that were reported last, by this worker or by one before it."""
        if reporter.last is not None:
            return self._of_validation(reporter.last.metrics)
        curve = self._ledger.curve(self._lease.cell.id)
        return self._of_validation(curve[-1].metrics) if curve else {}

    def _of_validation(self, metrics: Mapping[str, float | None]) -> dict[str, float | None]:
        of_validation = [name for name, metric in self._study.spec.metrics.items() if metric.split == "validation"]
        return {name: metrics[name] for name in of_validation if name in metrics}

    def _score(self, reporter: Reporter, validation: Mapping[str, float | None]) -> float | None:
        """What the trial counts as: the objective of what is scored in the end, or of its best evaluation."""
        objective = self._study.spec.objective
        if self._study.spec.protocol.select == "last":
            return validation.get(objective.name, objective.worst)
        curve = [value_of(objective, point) for point in self._ledger.curve(self._lease.cell.id)]
        curve += [evaluation.metrics.get(objective.name) for evaluation in reporter.unwritten]
        return min((value for value in curve if value is not None), key=objective.place, default=objective.worst)

    def _fail(self, error: str) -> None:
        reason = error.strip().splitlines()[-1]
        self._ledger.fail(self._lease, error, reason, self._study.trials.failure(self._lease))
        self._clear_up()
        log.error("trial %d: set aside as failed: %s", self._lease.cell.id, error)

    def _clear_up(self) -> None:
        """Remove the checkpoints of a cell that has ended, and those for others once nobody is left to use them."""
        self._session.checkpoints.forget(self._lease)
        if self._study.spec.protocol.share_prefixes and self._ledger.forget_prefixes(self._lease.study_id):
            self._session.checkpoints.forget_shared(self._lease)


def _conclusion(reporter: Reporter, result: Result) -> str | None:
    """How the trial ended; None if it is to be continued."""
    if reporter.has_diverged:
        return "diverged"
    if result.finished:
        return "finished"
    return "pruned" if reporter.was_pruned else None
