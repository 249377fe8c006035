"""Waiting for work in other threads, so that the main thread heeds a stop and passes marks meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread, get_ident
from typing import TypeVar

from hpo.process import pulse

POLL_SECONDS = 0.1

T = TypeVar("T")


def result(future: Future[T], progressed: Callable[[], bool] = lambda: False) -> T:
    """What `future` gives. A mark is passed when it is done, and meanwhile whenever `progressed()` says yes.

    Raises:
        Interrupted: inside `pulse.interruptible`, once a stop is asked for; the work itself goes on, unheeded.
    """
    while not wait([future], timeout=POLL_SECONDS).done:
        if progressed():
            pulse.beat()
        else:
            pulse.heed()
    pulse.beat()
    return future.result()


def watched(call: Callable[[], T]) -> T:
    """What `call` returns, which passes no marks of its own, such as a download or a function of the user's.

    It runs in a thread; as long as that uses the processor, it is at work and not hung.
    """
    future: Future[T] = Future()
    used = _Processor()

    def run() -> None:
        used.begin()
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    # A daemon, so that a process whose call never comes back can still end.
    Thread(target=run, name="watched", daemon=True).start()
    return result(future, used.more)


class _Processor:
    """Whether a thread has used the processor since the last time one asked."""

    def __init__(self) -> None:
        self._clock: int | None = None
        self._seconds = 0.0

    def begin(self) -> None:
        """Called in that thread."""
        self._clock = time.pthread_getcpuclockid(get_ident())

    def more(self) -> bool:
        if self._clock is None:
            return False
        before = self._seconds
        try:
            self._seconds = time.clock_gettime(self._clock)
        except OSError:  # the thread has ended
            return False
        return self._seconds > before
