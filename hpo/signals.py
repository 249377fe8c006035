"""SIGINT and SIGTERM as an event.

A handler that set the event itself could hang: Python runs it in the middle of whatever the main thread does, which may
be holding the event's lock, in a `wait` or in this very handler, since a scheduler that ends a job sends SIGTERM to all
its processes, and the launcher sends another to its workers. Putting into a SimpleQueue takes no such lock.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread

NUMBERS = (signal.SIGINT, signal.SIGTERM)


def on_signal() -> Event:
    """An event that SIGINT and SIGTERM set from now on."""
    event, sent = Event(), SimpleQueue[None]()

    def listen() -> None:
        while True:
            sent.get()
            event.set()

    Thread(target=listen, name="signals", daemon=True).start()
    for number in NUMBERS:
        signal.signal(number, lambda *_: sent.put(None))
    return event


@contextmanager
def while_listening() -> Iterator[Event]:
    """The same, until the end of the block; then what was done on a signal before is done again."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    try:
        yield on_signal()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
