"""How a verb speaks: results on stdout, progress on stderr, errors as messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from hpo.errors import HpoError
from hpo.signals import on_signal

if TYPE_CHECKING:
    from hpo.storage.rows import ArmProgress

P = ParamSpec("P")
R = TypeVar("R")


def told(command: Callable[P, R]) -> Callable[P, R]:
    """The one place where our errors become messages and exit codes."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except HpoError as error:
            click.echo(f"error: {error}", err=True)
            if error.hint:
                click.echo(f"hint: {error.hint}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            from sqlalchemy.exc import DBAPIError

            if not isinstance(error, DBAPIError):
                raise
            click.echo(f"error: the database went away: {str(error.orig).splitlines()[0]}", err=True)
            sys.exit(1)

    return run


def display(renderable: Any) -> None:
    from rich.console import Console

    Console().print(renderable)


@contextmanager
def shown_progress() -> Iterator[Callable[[list[ArmProgress]], None]]:
    """A function that shows progress: a live table on a terminal, else a line whenever something has changed."""
    from rich.console import Console
    from rich.live import Live

    from hpo.report import progress

    console = Console(stderr=True)
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda arms: live.update(progress.Arms(arms))
        return
    last = ""

    def show(arms: list[ArmProgress]) -> None:
        nonlocal last
        line = progress.line(arms)
        if line != last:
            click.echo(line, err=True)
        last = line

    yield show


def refresh(view: Callable[[], Any], goes_on: Callable[[], bool]) -> None:
    """Show `view` again and again until `goes_on` says no."""
    from rich.live import Live

    interrupted = on_signal()
    with Live(view(), refresh_per_second=1) as live:
        while goes_on() and not interrupted.wait(1.0):
            live.update(view())
        live.update(view())
