"""One cell from its claim to its end: meet those that begin alike, train or go on, and finish, save or fail."""

from __future__ import annotations

import logging

from optuna.trial import Trial

from hpo.errors import CheckpointError, LeaseLost, MachineError, SickMachine, StudyError
from hpo.pulse import Interrupted
from hpo.space import Params
from hpo.storage.parts import FINAL
from hpo.storage.rows import Fork, Lease, value_of
from hpo.storage.sqlstate import is_database_error
from hpo.train.data.images import Splits
from hpo.train.loop import Ended, Outcome, fit
from hpo.train.trial import TrialSpec
from hpo.worker import failures
from hpo.worker.machine import lacks
from hpo.worker.reporter import Reporter
from hpo.worker.session import Session
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
    log.info("cell %d: %s, %s, seed %d", cell.id, cell.arm, cell.phase, cell.seed)
    try:
        _CellRun(session, studies, study, lease).run()
    except Interrupted:  # while its images were read: nothing has been trained here
        session.ledger.release(lease)
        log.info("cell %d: let go before it began", cell.id)
    except (LeaseLost, MachineError, SickMachine, StudyError):
        raise
    except Exception as error:
        if is_database_error(error):
            raise
        failures.failed(session, study, lease, error)


class _CellRun:
    """The work on one leased cell."""

    def __init__(self, session: Session, studies: Studies, study: Study, lease: Lease) -> None:
        self._session, self._studies, self._study, self._lease = session, studies, study, lease
        self._ledger = session.ledger

    def run(self) -> None:
        cell, attempts = self._lease.cell, self._study.spec.protocol.attempts
        if cell.attempts > attempts:
            self._set_aside(cell.error or f"{cell.attempts - 1} workers in a row vanished without finishing an epoch")
            return
        kept = self._ledger.checkpoint(self._lease) if cell.claims > 1 else None
        place, later, shared_after = self._meet()
        if kept is None and later is not None:
            self._ledger.wait(self._lease, later)
            log.info("cell %d: waits for epoch %d of cell %d", cell.id, later.epochs, later.cell)
            return
        trial, params = self._study.trials.begin(self._lease)
        resume = self._go_on_from(trial, place) if kept is None else self._fetched(kept)
        reporter = Reporter(
            self._session, self._study, self._lease, trial, self._study.spec.epochs(cell.arm), shared_after, kept
        )
        outcome = self._train(params, reporter, resume)
        if outcome.ended is Ended.INTERRUPTED:
            self._let_go(reporter, outcome)
        else:
            self._finish(trial, reporter, outcome)

    def _meet(self) -> tuple[Fork | None, Fork | None, frozenset[int]]:
        """Where in another cell's trial this one can go on at once, for what it should rather wait, and after which of
        its own epochs others will go on."""
        cell, spec = self._lease.cell, self._study.spec
        if cell.params is None or not spec.protocol.share_prefixes:
            return None, None, frozenset()
        splits = self._studies.splits(self._lease, spec.trial_of(cell.arm, cell.params), cell.phase == "confirm")
        sharing = self._study.sharing(len(splits.train))
        cells = self._ledger.cells(self._lease.study_id)
        kept = self._ledger.forks(self._lease.study_id)
        place, later = sharing.begin(cell, cells, kept)
        return place, later, sharing.kept_for_others(cell, cells)

    def _go_on_from(self, trial: Trial, place: Fork | None) -> bytes | None:
        """The checkpoint of another cell from which this one goes on, its epochs taken over; None to begin anew."""
        cell, trials = self._lease.cell, self._study.trials
        if place is None and cell.leader is None:
            return None
        found = self._ledger.fork(self._lease, place)
        if place is None or found is None:
            return None
        kept, points = found
        for point in points:
            value = value_of(self._study.spec.objective, point)
            if trials.pruner(cell).at_rung(point.at) and value is not None:
                trial.report(value, point.at)
        trials.flush(trial)
        log.info("cell %d: goes on after epoch %d of cell %d", cell.id, place.epochs, place.cell)
        return self._fetched(kept)

    def _fetched(self, kept: bytes) -> bytes | None:
        try:
            return self._session.checkpoints.fetch(kept)
        except CheckpointError as error:
            self._begin_anew(error)
            return None

    def _begin_anew(self, error: CheckpointError) -> None:
        log.warning("cell %d: %s; the trial begins anew", self._lease.cell.id, error)
        self._ledger.fork(self._lease, None)  # what another cell had trained for this one it trains itself now

    def _train(self, params: Params, reporter: Reporter, resume: bytes | None) -> Outcome:
        cell = self._lease.cell
        spec = self._study.spec.trial_of(cell.arm, params)
        if missing := lacks(spec.precision, self._session.device):
            raise MachineError(missing)
        splits = self._studies.splits(self._lease, spec, cell.phase == "confirm")
        try:
            try:
                return self._fit(spec, splits, reporter, resume)
            except CheckpointError as error:
                self._begin_anew(error)
                return self._fit(spec, splits, reporter, None)
        except Exception as error:
            if not isinstance(error, LeaseLost) and not is_database_error(error):
                reporter.flush()
            raise

    def _fit(self, spec: TrialSpec, splits: Splits, reporter: Reporter, resume: bytes | None) -> Outcome:
        return fit(
            spec,
            self._lease.cell.seed,
            splits,
            reporter.report,
            objective=self._study.spec.objective,
            resume=resume,
            interrupted=reporter.interrupted,
            keep_weights=self._study.spec.protocol.keep_weights and self._lease.cell.phase == "confirm",
        )

    def _let_go(self, reporter: Reporter, outcome: Outcome) -> None:
        if self._session.heartbeat.lost.is_set():
            raise LeaseLost(f"the lease of cell {self._lease.cell.id} is lost")
        reporter.flush()
        saved = None if outcome.checkpoint is None else reporter.save(outcome.checkpoint)
        self._ledger.release(self._lease, saved)
        reporter.kept(saved)
        log.info("cell %d: let go after %d epochs, to be continued", self._lease.cell.id, outcome.epochs)

    def _finish(self, trial: Trial, reporter: Reporter, outcome: Outcome) -> None:
        cell, ended = self._lease.cell, outcome.ended.value
        objective = self._study.spec.objective
        score = outcome.score(objective, self._study.spec.protocol.select)
        pruner, epochs = self._study.trials.pruner(cell), self._study.spec.epochs(cell.arm)
        told = self._study.trials.tell(trial, pruner, ended, outcome.epochs, epochs, score)
        weights = None if outcome.weights is None else reporter.save(outcome.weights, FINAL)
        metrics, unwritten = outcome.metrics, reporter.unwritten
        is_told = self._ledger.finish(self._lease, ended, score, metrics, told, unwritten, weights)
        if not is_told:
            self._study.trials.heal_if_possible(self._lease)
        self._session.health.finished(self._lease.study_uuid, cell.id)
        self._clear_up()
        reached = "" if score is None else f", {objective.words} {score:.4f}"
        log.info("cell %d: %s after %d epochs%s", cell.id, ended, outcome.epochs, reached)

    def _set_aside(self, error: str) -> None:
        reason = error.strip().splitlines()[-1]
        self._ledger.set_aside(self._lease, error, reason, self._study.trials.failure(self._lease))
        self._clear_up()
        log.error("cell %d: set aside as failed: %s", self._lease.cell.id, error)

    def _clear_up(self) -> None:
        """Remove the checkpoints of a cell that has ended, and those for others once nobody is left to use them."""
        self._session.checkpoints.forget(self._lease)
        if self._study.spec.protocol.share_prefixes and self._ledger.forget_forks(self._lease.study_id):
            self._session.checkpoints.forget_shared(self._lease)
