"""Standard output and standard error: what they can't encode, and readers that leave."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO

from hpo.errors import HpoError
from hpo.words.visible import visible


def prepare() -> None:
    """Let both take every text: a character that their encoding lacks comes out as `?`, and none does anything."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    if logging.lastResort is not None:  # what libraries log, where no verb has said how
        logging.lastResort.setFormatter(VisibleLines())
    sys.excepthook = _show_traceback


class VisibleLines(logging.Formatter):
    """What is logged, with nothing in it that acts instead of showing."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


@contextmanager
def written(stream: IO[str]) -> Iterator[None]:
    """A reader that has left (`hpo report | head`) has seen enough, and the verb goes on.

    Raises:
        HpoError: the stream takes nothing for another reason, such as a full disk.
    """
    try:
        yield
    except OSError as error:
        let_go(stream)
        if error.errno != errno.EPIPE:
            raise HpoError(f"{stream.name.strip('<>')}: {error.strerror}") from None


def let_go(stream: IO[str]) -> None:
    """Drop what is still to be written to a stream that takes no more, now and when this process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _show_traceback(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    sys.stderr.write(visible("".join(traceback.format_exception(kind, error, frames))))
