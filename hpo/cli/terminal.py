"""How a verb speaks: results on stdout, progress on stderr. What others wrote is shown and does nothing."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from hpo.cli.streams import VisibleLines, written
from hpo.process.signals import on_signal
from hpo.words.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from hpo.storage import Storage
    from hpo.storage.rows import ArmProgress
    from hpo.study import StudySpec

LOOK_SECONDS = 1.0
"""Seconds between two looks at a study that somebody watches."""


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Write a line to stdout, or to stderr."""
    stream = sys.stderr if err else sys.stdout
    with written(stream):
        stream.write(visible(str(text)) + "\n" * nl)
        stream.flush()


def display(renderable: Any) -> None:
    """Lay out a result on stdout; in a pipe or a file without the blanks that fill up a line of a terminal."""
    console, stream = _console(), sys.stdout
    with written(stream):
        if console.is_terminal:
            console.print(renderable)
            return
        with console.capture() as laid_out:
            console.print(renderable)
        stream.write("\n".join(line.rstrip() for line in laid_out.get().split("\n")))
        stream.flush()


def log_to_stderr() -> None:
    """Write what is logged to stderr, each line with its time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleLines("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


@contextmanager
def shown_progress(storage: Storage, study: StudySpec) -> Iterator[Callable[[list[ArmProgress]], None]]:
    """A function that shows progress: the study at a glance on a terminal, else a line whenever something changed."""
    from hpo.watch import progress

    console = _console(stderr=True)
    if console.is_terminal:
        with _glances(console, storage, study.name) as show_glance:
            yield lambda arms: show_glance()
        return
    last = ""

    def show(arms: list[ArmProgress]) -> None:
        nonlocal last
        line = progress.line(arms, study.objective)
        if line != last:
            say(line, err=True)
        last = line

    yield show


@contextmanager
def _glances(console: Console, storage: Storage, name: str) -> Iterator[Callable[[], None]]:
    """A function that shows the study at a glance, however often it is called at most once in a second."""
    from rich.live import Live
    from sqlalchemy.exc import SQLAlchemyError

    from hpo.errors import HpoError
    from hpo.watch.glance import glances
    from hpo.watch.overview import Watcher

    watcher, due = Watcher(storage), 0.0

    with Live(console=console, refresh_per_second=4) as live:

        def show() -> None:
            nonlocal due
            if time.monotonic() >= due:
                live.update(glances(watcher.look(name)))
                due = time.monotonic() + LOOK_SECONDS

        yield show
        with suppress(HpoError, SQLAlchemyError):  # a last look; whoever interrupts an outage is not to wait for it
            live.update(glances(watcher.look(name)))


def refresh(view: Callable[[], Any], goes_on: Callable[[], bool]) -> None:
    """Show `view` again and again until `goes_on` says no."""
    from rich.live import Live

    interrupted = on_signal()
    with Live(view(), console=_console(), refresh_per_second=1) as live:
        while goes_on() and not interrupted.wait(LOOK_SECONDS):
            live.update(view())
        live.update(view())


def is_terminal() -> bool:
    """Whether results go to a terminal, and not to a pipe or a file."""
    return _console().is_terminal


def _console(**options: Any) -> Console:
    from hpo.cli.console import Console  # rich is slow to import

    return Console(**options)
