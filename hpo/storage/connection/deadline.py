"""A deadline for every call to the server: one that does not come back is ended from outside.

A server that is suspended, waits for its disk or for a lock, keeps answering on TCP, so no setting of the network ends
the call, and the driver holds the thread in C, so no signal does. A thread looks after the connections that are in use
and shuts the socket of one that has been waiting for too long; the call then fails as with any lost connection.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

from sqlalchemy import Engine, event

LOOK_SECONDS = 0.5


class Deadlines:
    """Watches the connections of a Postgres engine; `seconds()` is what a call may take at this moment."""

    def __init__(self, engine: Engine, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._busy_since: dict[Any, float] = {}
        self._lock = Lock()
        self._ended = Event()
        event.listen(engine, "do_connect", self._limit_connecting)
        event.listen(engine, "checkout", self._begin)
        event.listen(engine, "before_cursor_execute", self._go_on)
        event.listen(engine, "checkin", self._end)
        self._thread = Thread(target=self._watch, name="deadlines", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._ended.set()
        self._thread.join()

    def _limit_connecting(self, dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> None:
        # libpq keeps this one by itself; it takes whole seconds, and less than two as two.
        most = max(2, int(self._seconds()))
        parameters["connect_timeout"] = min(int(parameters.get("connect_timeout", most)), most)

    def _begin(self, driver: Any, record: Any, proxy: Any) -> None:
        with self._lock:
            self._busy_since[driver] = time.monotonic()

    def _go_on(self, connection: Any, *rest: Any) -> None:
        driver = connection.connection.dbapi_connection
        with self._lock:
            if driver in self._busy_since:
                self._busy_since[driver] = time.monotonic()

    def _end(self, driver: Any, record: Any) -> None:
        with self._lock:
            self._busy_since.pop(driver, None)

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            late = time.monotonic() - self._seconds()
            with self._lock:
                for driver in [driver for driver, since in self._busy_since.items() if since < late]:
                    del self._busy_since[driver]
                    _shut(driver)


def _shut(driver: Any) -> None:
    """End both directions of the connection's socket, which stays open: the driver alone may close it."""
    try:
        with socket.socket(fileno=os.dup(driver.fileno())) as copy:
            copy.shutdown(socket.SHUT_RDWR)
    except Exception:  # it has been closed meanwhile: nothing hangs in it
        return
