"""Signs of life: marks that the main thread passes while it works, so that a watcher can tell slow from hung.

Whatever may take long, such as an optimizer step or the reading of an image, calls `beat` once for each of its parts. A
thread that renews a lease looks at `age`: a process that lives but makes no progress must not keep what it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupted(Exception):
    """The work was asked to stop, and nothing has to be saved."""


_last = time.monotonic()
_asked_to_stop: Callable[[], bool] = lambda: False  # noqa: E731 (a variable, which `interruptible` sets)


def beat() -> None:
    """Pass a mark.

    Raises:
        Interrupted: inside `interruptible`, once its question is answered with yes.
    """
    global _last
    _last = time.monotonic()
    heed()


def heed() -> None:
    """End if a stop is asked for, without a mark: what is waited for has made no progress.

    Raises:
        Interrupted: inside `interruptible`, once its question is answered with yes.
    """
    if _asked_to_stop():
        raise Interrupted


def age() -> float:
    """Seconds since the last mark."""
    return time.monotonic() - _last


@contextmanager
def interruptible(asked_to_stop: Callable[[], bool]) -> Iterator[None]:
    """Let `beat` end the block as soon as `asked_to_stop()` says yes."""
    global _asked_to_stop
    before, _asked_to_stop = _asked_to_stop, asked_to_stop
    try:
        yield
    finally:
        _asked_to_stop = before
