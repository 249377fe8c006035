"""How a verb speaks: results on stdout, progress on stderr. What others wrote is shown and does nothing."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hpo.cli.streams import VisibleLines, written
from hpo.process.signals import on_signal
from hpo.words.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from hpo.metric import Metric
    from hpo.storage.rows import ArmProgress


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
def shown_progress(metric: Metric, unit: str) -> Iterator[Callable[[list[ArmProgress]], None]]:
    """A function that shows progress: a live table on a terminal, else a line whenever something has changed."""
    from rich.live import Live

    from hpo.watch import progress

    console = _console(stderr=True)
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda arms: live.update(progress.table(arms, metric, unit))
        return
    last = ""

    def show(arms: list[ArmProgress]) -> None:
        nonlocal last
        line = progress.line(arms, metric)
        if line != last:
            say(line, err=True)
        last = line

    yield show


def refresh(view: Callable[[], Any], goes_on: Callable[[], bool]) -> None:
    """Show `view` again and again until `goes_on` says no."""
    from rich.live import Live

    interrupted = on_signal()
    with Live(view(), console=_console(), refresh_per_second=1) as live:
        while goes_on() and not interrupted.wait(1.0):
            live.update(view())
        live.update(view())


def _console(**options: Any) -> Console:
    from hpo.cli.console import Console  # rich is slow to import

    return Console(**options)
