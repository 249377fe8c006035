"""The signals that ask a process to end, SIGINT, SIGTERM and SIGHUP, heeded from its first moment on.

At first they end the process at once and without a word (`end_on_signal`), for it holds nothing yet. Whoever has
something to save listens (`on_signal`, `while_listening`). A second signal then changes nothing: a scheduler that ends
a job sends SIGTERM to all its processes, and the launcher sends another one to its workers. There is a handler at every
moment, because the first process of a container gets only those signals that it handles.

A thread heeds the signals, woken through a pipe by the part of Python that is written in C. A handler in Python runs
only when the main thread comes back from what it has called, such as a database that does not answer. And one that set
an event could hang, for it may interrupt the main thread while that holds the event's lock.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Event, Thread

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_heed: Callable[[], object] = lambda: None  # noqa: E731 (a variable: what is done at a signal)


def end_on_signal(exit_code: int) -> None:
    """End this process with `exit_code` on a signal, from now on; for the beginning, when there is nothing to save."""
    _listen(lambda: os._exit(exit_code))


def on_signal() -> Event:
    """An event that a signal sets from now on."""
    event = Event()
    _listen(event.set)
    return event


@contextmanager
def while_listening() -> Iterator[Event]:
    """Let a signal set the event until the end of the block; then what was done on a signal before is done again."""
    heeded = _heed
    handlers = {number: signal.getsignal(number) for number in NUMBERS}
    woken = signal.set_wakeup_fd(_pipe(), warn_on_full_buffer=False)
    try:
        yield on_signal()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        _heed_with(heeded)


def _listen(heed: Callable[[], object]) -> None:
    _heed_with(heed)
    signal.set_wakeup_fd(_pipe(), warn_on_full_buffer=False)
    for number in NUMBERS:
        ignored = signal.getsignal(number) is signal.SIG_IGN
        if ignored and number == signal.SIGHUP:  # by nohup: to go on is what was asked for
            continue
        signal.signal(number, lambda *_: None)  # what is to be done, the thread does


def _heed_with(heed: Callable[[], object]) -> None:
    global _heed
    _heed = heed


@cache
def _pipe() -> int:
    """The end that is written to at a signal; a thread waits at the other."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def listen() -> None:
        while received := os.read(reading, 1):
            if received[0] in NUMBERS:
                _heed()

    Thread(target=listen, name="signals", daemon=True).start()
    return writing
