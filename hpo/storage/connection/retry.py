"""Trying again while the database is away: a restart, a failover, a dropped connection, a full connection table."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from hpo.errors import StorageError
from hpo.process import pulse
from hpo.storage.connection.sqlstate import CANCELED, passes, reason, sqlstate

log = logging.getLogger(__name__)

SHUTDOWN_GRACE_SECONDS = 10.0
"""How long a process that was asked to stop still tries to reach the database."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 5.0
MOST_CANCELED = 3
"""How often a statement that the server cancels is sent: what takes too long now will take as long in a minute."""

Result = TypeVar("Result")


class Retry:
    """Repeats a call that fails for a reason that passes, for at most `seconds`; briefly, once `stop` is set.

    Calls must be safe to repeat: one whose answer was lost may have been carried out.
    """

    def __init__(self, seconds: float = 0.0, stop: Event | None = None) -> None:
        self.seconds = seconds
        self._stop = stop or Event()

    def within(self, seconds: float) -> Retry:
        """Retry for at most `seconds`."""
        return Retry(min(seconds, self.seconds), self._stop)

    def __call__(self, call: Callable[[], Result]) -> Result:
        began, pause, canceled = time.monotonic(), FIRST_PAUSE_SECONDS, 0
        while True:
            try:
                return call()
            except Exception as error:
                if not passes(error):
                    raise
                if sqlstate(error) == CANCELED:
                    canceled += 1
                    if canceled == MOST_CANCELED:
                        raise _canceled(error) from error
                if time.monotonic() - began >= self._seconds_to_go_on():
                    raise
                log.warning("the database can't be reached, trying again: %s", reason(error))
            pulse.beat()  # it waits, and does not hang
            # Those that lost it together don't come back together.
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _seconds_to_go_on(self) -> float:
        return min(self.seconds, SHUTDOWN_GRACE_SECONDS) if self._stop.is_set() else self.seconds


NEVER = Retry()
"""Fails at once: for a person who waits at a terminal, and for what has a loop of its own."""


def _canceled(error: Exception) -> StorageError:
    return StorageError(
        f"the server canceled the same statement {MOST_CANCELED} times: {reason(error)}",
        hint="the statement_timeout of this role or database is too short; raise it, "
        "for example: alter role ROLE set statement_timeout = '60s'",
    )
