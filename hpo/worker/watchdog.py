"""Ends a worker whose main thread hangs, as in the reading of a file from a server that does not answer.

Nothing else can: such a call returns to no signal and to no deadline. Two things are not waited for: a trial that makes
no progress at all, which is given back with the place where it hangs; and a worker that was asked to stop and does not
come to an end.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from threading import Event, Thread

from hpo.errors import HpoError, LeaseLost, SickMachine, WorkLeft
from hpo.process import pulse
from hpo.storage.connection.sqlstate import reason
from hpo.storage.ledger import Ledger
from hpo.worker.heartbeat import Heartbeat

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
SHUTDOWN_GRACE_SECONDS = 30.0
"""How long a worker that was asked to stop may take without any sign of life: a step, a try to reach the database."""


class Watchdog:
    """A thread beside the main one; `ledger` is one that does not try again."""

    def __init__(self, ledger: Ledger, worker_id: str, heartbeat: Heartbeat, stall_seconds: float, stop: Event) -> None:
        self._ledger = ledger
        self._worker_id = worker_id
        self._heartbeat = heartbeat
        self._stall_seconds = stall_seconds
        self._stop = stop
        self._ended = Event()
        self._thread = Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        asked_at = None
        while not self._ended.wait(LOOK_SECONDS):
            if self._stop.is_set():
                asked_at = asked_at or time.monotonic()
                if min(time.monotonic() - asked_at, pulse.age()) > SHUTDOWN_GRACE_SECONDS:
                    self._give_up(WorkLeft("asked to stop, but hangs"), counted=False)
            elif self._heartbeat.held is not None and pulse.age() > self._stall_seconds:
                self._give_up(SickMachine(f"no progress for {self._stall_seconds:g} seconds"), counted=True)

    def _give_up(self, why: HpoError, counted: bool) -> None:
        """Give the cell back, saying where the main thread hangs, and end the process."""
        stack = traceback.format_stack(sys._current_frames()[threading.main_thread().ident or 0])
        where = stack[-1].strip().splitlines()[0]
        log.error("%s: %s\n%s", why, where, "".join(stack))
        said = f"{why}: {where}"
        try:
            lease = self._heartbeat.held
            if lease is not None and counted:
                self._ledger.retry_later(lease, f"{said}\n{''.join(stack)}", said)
            elif lease is not None:
                self._ledger.release(lease, reason=said)
            self._ledger.note_trouble(self._worker_id, said)
            self._ledger.seen(self._worker_id, ended=True)
        except LeaseLost as error:
            log.error("%s", error)
        except Exception as error:  # the process ends all the same
            log.error("the trial could not be given back: %s", reason(error))
        logging.shutdown()
        os._exit(why.exit_code)
