"""Going on when the database goes away for a while: a restart, a dropped connection, a full connection table."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy import exc

log = logging.getLogger(__name__)

PASSING = (exc.OperationalError, exc.InterfaceError, exc.PendingRollbackError, exc.TimeoutError, StorageInternalError)
"""What a database raises while it is away. Optuna wraps some of it."""

Result = TypeVar("Result")


def reason(error: Exception) -> str:
    """What the database said, in one line, without the statement and its values."""
    origin = error
    while origin.__cause__ is not None or getattr(origin, "orig", None) is not None:
        origin = getattr(origin, "orig", None) or origin.__cause__  # type: ignore[assignment]
    lines = str(origin).strip().splitlines()
    return lines[0] if lines else type(origin).__name__


FAREWELL_SECONDS = 10.0
"""How long a worker that was asked to stop still tries to reach the database."""


class Patience:
    """Repeats a call that fails because the database is away, for at most `seconds`; briefly, once `stop` is set.

    Calls must be safe to repeat: one whose answer was lost may have been carried out.
    """

    def __init__(self, seconds: float, stop: Event) -> None:
        self._seconds, self._stop = seconds, stop

    def __call__(self, call: Callable[[], Result]) -> Result:
        began, pause = time.monotonic(), 0.05
        while True:
            try:
                return call()
            except PASSING as error:
                waited = time.monotonic() - began
                if waited > (FAREWELL_SECONDS if self._stop.is_set() else self._seconds):
                    raise
                log.warning("the database is away, trying again: %s", reason(error))
            time.sleep(pause * random.uniform(0.5, 1.5))  # workers that lost it together don't come back together
            pause = min(pause * 2, 5.0)
