"""The worker's loop: claim a cell, train it, claim the next, until nothing is left.

It needs the storage and nothing else: the study comes from there. SIGTERM and SIGINT make it save the trial in
progress and let it go within seconds; another worker continues it. SIGKILL costs the time since the last checkpoint.

A study that can't be trained here, for its images are missing or its plan is of a newer hpo, is left out for a while;
the worker goes on with others.
"""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import uuid
from collections.abc import Hashable, Sequence
from contextlib import suppress
from threading import Event

from hpo.errors import HpoError, LeaseLost, SickMachine, StudyError, UserError, WorkLeft
from hpo.plan import advance
from hpo.storage import Storage
from hpo.storage.checkpoints import open_checkpoints
from hpo.storage.connection.sqlstate import is_database_error, reason
from hpo.storage.parts import Parts
from hpo.storage.rows import Activity, Lease, StudyRow
from hpo.study import read_study
from hpo.trainers import default_trainer, trainer_of
from hpo.trainers.trainer import Trainer
from hpo.worker.cell import run_cell
from hpo.worker.health import Health
from hpo.worker.heartbeat import Heartbeat
from hpo.worker.machine import Machines, environment, in_words, write_temporary_file
from hpo.worker.session import Session, WorkerOptions
from hpo.worker.studies import Studies
from hpo.worker.tracking import open_trackers
from hpo.worker.watchdog import Watchdog

log = logging.getLogger(__name__)

IDLE_SECONDS, MOST_IDLE_SECONDS = 1.0, 8.0
"""Seconds between two looks for work: the longer nothing has happened, the longer."""
PRE_PING_SECONDS = 1.0
"""A connection used within this time is not tested first: what fails is repeated."""
CALL_SECONDS, CALL_SECONDS_AFTER_STOP = 30.0, 5.0
"""How long a call to the server may take before its connection is given up."""
SHUTDOWN_GRACE_SECONDS = 5.0
"""How long a worker tries to say that it has ended."""


def call_deadline(stop: Event) -> float:
    """How many seconds a call to the server may take at this moment."""
    return CALL_SECONDS_AFTER_STOP if stop.is_set() else CALL_SECONDS


def work(storage: Storage, names: Sequence[str], options: WorkerOptions, stop: Event) -> None:
    """Train cells of the studies called `names` (all, if none are named) until nothing is left or `stop` is set.

    Raises:
        StudyError: there is no study of one of the names, or it was stopped or has failed before.
        MachineError: what all that is left needs is missing here, or not that with which it began.
        SickMachine: trials fail here that others can train.
        WorkLeft: `stop` was set while there was something left to do.
        HpoError: the database was away for too long, or a study named has failed meanwhile.
    """
    try:
        Worker(storage, names, options, stop).run()
    except Exception as error:
        if not is_database_error(error):
            raise
        raise HpoError(
            f"the database could not be reached for too long: {reason(error)}",
            hint="start the worker again; it repeats what it trained since its last checkpoint",
        ) from error


class Worker:
    """One process that trains one cell at a time."""

    def __init__(self, storage: Storage, names: Sequence[str], options: WorkerOptions, stop: Event) -> None:
        self._storage = storage
        self._ledger = storage.ledger
        self._names = names
        self._options = options
        self._stop = stop
        self._id = uuid.uuid4().hex
        self._health = Health()
        self._planned: dict[str, dict[str, Hashable]] = {}

    def run(self) -> None:
        """Work until nothing is left or `stop` is set."""
        write_temporary_file()
        trackers = open_trackers(self._options.track)
        self._storage.pre_ping.after_seconds = PRE_PING_SECONDS
        rows = self._studies_to_work_on()
        machines = Machines(self._options.device)
        machine = machines.of(_first_trainer(rows))  # before the first claim: a sick machine claims nothing
        parts = Parts(self._storage.database)
        checkpoints = open_checkpoints(self._options.checkpoints_url, parts, self._ledger.database_id())
        # Before there is a second thread: it adds listeners to the pool, which is not safe while another connects.
        _ = self._storage.optuna
        host = socket.gethostname()
        about = environment(machine)
        self._ledger.register(self._id, host, os.getpid(), machine.description, about)
        log.info("worker %s on %s, %s", self._id[:8], host, in_words(machine.description, about))
        beside = self._storage.ledger_without_retry()
        stall = self._options.stall_seconds
        with (
            Heartbeat(beside, self._id, self._options.lease_seconds, stall, self._stop) as heartbeat,
            Watchdog(beside, self._id, heartbeat, stall, self._stop),
        ):
            session = Session(
                self._id,
                self._storage,
                self._options,
                machines,
                checkpoints,
                heartbeat,
                self._health,
                trackers,
                self._stop,
            )
            try:
                self._serve(session)
            except HpoError as error:
                self._sign_off(None if isinstance(error, WorkLeft) else str(error))
                raise
            finally:
                trackers.close()
            self._sign_off()

    def _studies_to_work_on(self) -> list[StudyRow]:
        """The studies that are named, or all."""
        rows = {row.name: row for row in self._ledger.studies()}
        for name in self._names:
            if name not in rows:
                raise StudyError(f"there is no study {name!r}", hint=f"there are: {', '.join(sorted(rows)) or 'none'}")
            if not self._options.forever:
                rows[name].check_open()
        return [row for row in rows.values() if not self._names or row.name in self._names]

    def _serve(self, session: Session) -> None:
        studies, idle = Studies(session), IDLE_SECONDS
        while not self._stop.is_set():
            self._storage.check_file()
            lease = self._claim()
            if lease is not None:
                self._run_cell(session, studies, lease)
                self._end_what_is_late(studies, lease)
                idle = IDLE_SECONDS
                continue
            activities = self._activity()
            if self._plan_more(activities):
                idle = IDLE_SECONDS
            elif not self._options.forever and not activities:
                # A study of which nothing is open may be planned further by another worker just now: it is running.
                self._end()
                return
            else:
                self._stop.wait(idle * random.uniform(0.7, 1.0))
                idle = min(1.3 * idle, MOST_IDLE_SECONDS)
        self._storage.check_file()  # what was written last may be in a file that is not there any more
        if not self._options.forever and self._anything_open():
            raise WorkLeft("asked to stop; any worker can continue with the rest")

    def _claim(self) -> Lease | None:
        """The next cell; one that has raised here only if there is no other."""
        seconds, left_out = self._options.lease_seconds, self._health.left_out()
        to_others, passed_over = self._health.left_to_others(), self._health.passed_over()
        for but in [[*to_others, *passed_over], to_others] if passed_over else [to_others]:
            lease = self._ledger.claim(self._id, seconds, self._names, without=left_out, passed_over=but)
            if lease is not None:
                return lease
        return None

    def _run_cell(self, session: Session, studies: Studies, lease: Lease) -> None:
        with session.heartbeat.holding(lease):
            try:
                try:
                    run_cell(session, studies, lease)
                except UserError as error:  # this worker can't train it, another may
                    self._leave_out(lease, error)
                except SickMachine:
                    with suppress(LeaseLost):  # which it is if the cell was given back already
                        self._ledger.release(lease)
                    raise
            except LeaseLost as error:
                log.warning("%s; dropped", error)

    def _end_what_is_late(self, studies: Studies, lease: Lease) -> None:
        """Plan anew after each trial of a study whose searches have a time limit: others would be begun after it."""
        if studies.has_time_limit(lease.study_uuid):
            self._plan_more(self._activity())

    def _leave_out(self, lease: Lease, error: UserError) -> None:
        row = self._ledger.study_of(lease.study_uuid)
        name = row.name if row else "a study that was deleted"
        self._health.leave_out(lease.study_uuid, error)
        self._ledger.release(lease, reason=str(error))
        self._ledger.note_trouble(self._id, f"can't train {name}: {error}")
        log.error("trial %d: given back; this worker leaves %s out: %s (%s)", lease.cell.id, name, error, error.hint)

    def _activity(self) -> list[Activity]:
        """What has happened in the studies that this worker can train."""
        left_out = self._health.left_out()
        return [activity for activity in self._ledger.activity(self._names) if activity.uuid not in left_out]

    def _plan_more(self, activities: Sequence[Activity]) -> bool:
        """Plan what follows, where something has happened since anybody looked; returns whether anything did follow."""
        changed = False
        for activity in activities:
            if not (activity.due and self._ledger.take_planning(activity)):
                continue
            more = self._plan(activity)
            if more != 0:  # what follows from that is to be seen
                self._ledger.plan_again(activity.id)
            changed = changed or bool(more)
        return changed

    def _plan(self, activity: Activity) -> int | None:
        row = self._ledger.study_of(activity.uuid)
        if row is None:
            return 0
        try:
            spec = read_study(row.name, row.spec, row.hpo_version)
        except StudyError as error:
            self._health.leave_out(row.uuid, error)
            log.error("this worker leaves %s out: %s (%s)", row.name, error, error.hint)
            return 0
        return advance(self._storage, row, spec, self._planned.setdefault(row.uuid, {}))

    def _anything_open(self) -> bool:
        return any(activity.open for activity in self._activity())

    def _end(self) -> None:
        """Nothing is left that this worker could do; say why, if that is no reason to be content."""
        for error in self._health.left_out().values():
            raise error
        for row in self._ledger.studies(self._names):
            if self._names and row.state == "failed":
                raise HpoError(
                    f"{row.name} has failed: {row.reason}",
                    hint=f"see hpo status {row.name}, then: hpo retry {row.name}",
                )

    def _sign_off(self, reason: str | None = None) -> None:
        """Let others see at once that this worker has ended; they see it in a minute if that can't be said."""
        ledger = self._storage.ledger_within(SHUTDOWN_GRACE_SECONDS)
        try:
            if reason is not None:
                ledger.note_trouble(self._id, reason)
            ledger.seen(self._id, ended=True)
        except Exception as error:
            if not is_database_error(error):
                raise


def _first_trainer(rows: Sequence[StudyRow]) -> Trainer:
    """The trainer of the first study that is to be worked on; others are prepared when their turn comes.

    So a worker whose studies are all programs leaves the memory of the GPU to them.
    """
    for row in rows:
        if row.state == "running":
            with suppress(ValueError, TypeError, LookupError, RecursionError):  # told when it is claimed
                return trainer_of(json.loads(row.spec)["trial"])
    return default_trainer()
