"""The worker: claim a cell, train it, claim the next, until nothing is left.

It needs the storage and nothing else: the study comes from there. SIGTERM and SIGINT make it save the trial in
progress and let it go within seconds; another worker continues it. SIGKILL costs the time since the last checkpoint.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Sequence
from functools import lru_cache
from threading import Event

import torch

from hpo.errors import DataError, HpoError, LeaseLost, StudyError, UserError
from hpo.plan import advance
from hpo.storage import Storage
from hpo.storage.checkpoints import open_checkpoints
from hpo.storage.rows import Lease, StudyRow
from hpo.storage.sqlstate import is_database_error, reason
from hpo.storage.trials import Trials
from hpo.study import read_study
from hpo.train.data import Data, Splits, split
from hpo.train.data.images import Dataset
from hpo.train.trial import TrialSpec
from hpo.worker.cell import CellRun, Study
from hpo.worker.heartbeat import Heartbeat
from hpo.worker.machine import choose_device, describe_device, environment, settle
from hpo.worker.options import WorkerOptions

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
"""Between two looks for work."""
PING_SECONDS = 1.0
"""A connection used within this time is not tested first: what fails is repeated, with patience."""
CALL_SECONDS, CALL_SECONDS_AFTER_STOP = 30.0, 5.0
"""How long a call to the server may take before its connection is given up."""


def call_deadline(stop: Event) -> float:
    """How many seconds a call to the server may take at this moment."""
    return CALL_SECONDS_AFTER_STOP if stop.is_set() else CALL_SECONDS


def work(storage: Storage, names: Sequence[str], options: WorkerOptions, stop: Event) -> None:
    """Train cells of the studies called `names` (all, if none are named) until nothing is left or a signal comes.

    Raises:
        StudyError: there is no study of one of the names.
        MachineError: what a trial needs is missing here, or not that with which the study began.
        HpoError: the database was away for too long.
    """
    try:
        Worker(storage, names, options, stop).run()
    except Exception as error:
        if not is_database_error(error):
            raise
        raise HpoError(
            f"the database has been away for too long: {reason(error)}",
            hint="start the worker again; what it trained since its last checkpoint is trained again",
        ) from error


class Worker:
    """One process that trains one cell at a time."""

    def __init__(self, storage: Storage, names: Sequence[str], options: WorkerOptions, stop: Event) -> None:
        self._storage, self._ledger, self._names = storage, storage.ledger, names
        self._options, self._stop = options, stop
        self._id = uuid.uuid4().hex
        self._device = choose_device(options.device)
        self._checkpoints = open_checkpoints(options.checkpoints_url)
        self._studies: dict[int, Study] = {}
        self._checked_data: set[int] = set()
        self._planned_at: dict[int, object] = {}

    def run(self) -> None:
        """Work until nothing is left or `stop` is set."""
        settle(self._device)
        self._storage.pings.after_seconds = PING_SECONDS
        known = {row.name for row in self._ledger.studies()}
        for name in self._names:
            if name not in known:
                raise StudyError(f"there is no study {name!r}", hint=f"there are: {', '.join(sorted(known)) or 'none'}")
        host, device = socket.gethostname(), describe_device(self._device)
        about = environment(self._device)
        self._ledger.register(self._id, host, os.getpid(), device, about)
        log.info("worker %s on %s, %s", self._id[:8], host, device)
        # Before there is a second thread: it adds listeners to the pool, which is not safe while another connects.
        _ = self._storage.optuna
        with Heartbeat(self._storage.ledger_without_retry(), self._id, self._options.lease_seconds) as heartbeat:
            try:
                self._serve(heartbeat)
            finally:
                self._ledger.seen(self._id, ended=True)

    def _serve(self, heartbeat: Heartbeat) -> None:
        while not self._stop.is_set():
            lease = self._ledger.claim(self._id, self._options.lease_seconds, self._names)
            if lease is not None:
                self._run_cell(lease, heartbeat)
            elif not self._plan_more():
                if not self._options.forever and not self._anything_open():
                    return
                self._stop.wait(IDLE_SECONDS)

    def _run_cell(self, lease: Lease, heartbeat: Heartbeat) -> None:
        with heartbeat.holding(lease):
            try:
                study = self._study(lease.study_id)
                log.info("cell %d: %s, %s, seed %d", lease.cell.id, lease.cell.arm, lease.cell.phase, lease.cell.seed)
                CellRun(
                    self._ledger,
                    study,
                    lease,
                    self._options,
                    self._checkpoints,
                    heartbeat,
                    self._stop,
                ).run(lambda trial, with_test: self._splits(lease.study_id, trial, with_test))
            except LeaseLost as error:
                log.warning("%s; dropped", error)
            except UserError as error:  # this worker can't train it, another may
                why = str(error)
                self._ledger.release(lease, reason=why)
                log.error("cell %d: given back: this worker can't train it and ends", lease.cell.id)
                raise

    def _study(self, study_id: int) -> Study:
        if study_id not in self._studies:
            row = next((row for row in self._ledger.studies() if row.id == study_id), None)
            if row is None:
                raise LeaseLost("the study was deleted")
            spec = read_study(row.name, row.spec, row.hpo_version)
            self._studies[study_id] = Study(spec, Trials(self._storage, spec))
        return self._studies[study_id]

    def _splits(self, study_id: int, trial: TrialSpec, with_test: bool) -> Splits:
        dataset = _dataset(trial.data)
        if study_id not in self._checked_data:
            if not self._ledger.same_data(study_id, dataset.fingerprint):
                raise DataError(
                    f"the {trial.data.kind} images on this machine are not those that the study began with",
                    hint="copy the data from a machine that works on the study, or start a new study",
                )
            self._checked_data.add(study_id)
        return _splits(trial.data, with_test, self._device)

    def _mine(self) -> list[StudyRow]:
        return [row for row in self._ledger.studies(self._names) if row.state == "running"]

    def _plan_more(self) -> int:
        """Plan what follows, where something has changed since the last look; returns how many cells that gave."""
        added = 0
        for row in self._mine():
            progress = self._ledger.progress(row.id)
            if self._planned_at.get(row.id) != progress:
                added += advance(self._storage, row, self._study(row.id).spec)
                self._planned_at[row.id] = progress
        return added

    def _anything_open(self) -> bool:
        return any(arm.planned or arm.leased for row in self._mine() for arm in self._ledger.progress(row.id))


@lru_cache(maxsize=2)
def _dataset(source: Data) -> Dataset:
    return source.load()


@lru_cache(maxsize=2)
def _splits(source: Data, with_test: bool, device: torch.device) -> Splits:
    return split(_dataset(source), source, with_test=with_test, device=device)


__all__ = ["Worker", "WorkerOptions", "work"]
