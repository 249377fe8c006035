"""The command `hpo`: one short function per verb, which translates and calls.

Data goes to stdout, progress and errors to stderr. Exit code 0: done; 2: something the user can mend; 1: it failed;
130: interrupted, everything resumable. What a verb needs is imported in it, so that `hpo --help` answers at once.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from hpo import __version__
from hpo.errors import HpoError

if TYPE_CHECKING:
    from hpo.storage.rows import ArmProgress

DEFAULT_STORAGE = "sqlite:///hpo.db"
REPORTS = Path("hpo-reports")
DEFAULT_ARTIFACTS = REPORTS / "artifacts"

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


def warn_of_password(context: click.Context, parameter: click.Parameter, url: str) -> str:
    """Says that a password on a command line is public on the machine."""
    from click.core import ParameterSource

    user, _, _ = url.partition("@")
    given = context.get_parameter_source("storage") is ParameterSource.COMMANDLINE
    if given and "@" in url and ":" in user.partition("://")[2]:
        click.echo("warning: other users of this machine can see a password on the command line", err=True)
        click.echo("hint: set HPO_STORAGE, or leave the password to PGPASSWORD or a PGPASSFILE", err=True)
    return url


storage_option = click.option(
    "--storage",
    envvar="HPO_STORAGE",
    default=DEFAULT_STORAGE,
    metavar="URL",
    callback=warn_of_password,
    help="Where studies are kept; HPO_STORAGE sets it too.",
)
device_option = click.option(
    "--device", default="auto", help="auto (the first GPU, else the CPU), cpu, cuda, cuda:0, …"
)
lease_option = click.option(
    "--lease",
    default=60.0,
    type=click.FloatRange(1.0),
    metavar="SECONDS",
    help="How long a silent worker keeps a trial.",
)
checkpoint_option = click.option(
    "--checkpoint-every",
    default=30.0,
    type=click.FloatRange(0.0),
    metavar="SECONDS",
    help="How much training a killed worker may lose; saved at the ends of epochs.",
)

checkpoints_option = click.option(
    "--checkpoints",
    envvar="HPO_CHECKPOINTS",
    metavar="URL",
    help="Where checkpoints are kept: a folder that all workers share, s3://…; HPO_CHECKPOINTS sets it too.  "
    "[default: in the storage]",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="hpo")
def cli() -> None:
    """Which regularization, and how should it move during training?

    A study file asks; workers on as many machines as you have train its trials out of one database; the report says
    which arm wins, by how much, and how sure that is.
    """


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Set a value over the file's.")
@told
def check(file: Path, settings: tuple[str, ...]) -> None:
    """Say what FILE would run, without running it."""
    from hpo.report.outline import outline
    from hpo.study_file import load

    _print(outline(load(file, settings)))


@cli.command("launch-study")
@click.argument("file", type=click.Path(path_type=Path))
@storage_option
@click.option(
    "--workers",
    type=click.IntRange(0, 1024),
    help="Workers on this machine; 0: only plan.  [default: one per GPU, else one]",
)
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Set a value over the file's.")
@click.option("--name", help="Call the study so, not as the file does.")
@device_option
@lease_option
@checkpoint_option
@checkpoints_option
@told
def launch_study(
    file: Path,
    storage: str,
    workers: int | None,
    settings: tuple[str, ...],
    name: str | None,
    device: str,
    lease: float,
    checkpoint_every: float,
    checkpoints: str | None,
) -> None:
    """Plan the study in FILE, run it with workers on this machine, and give its verdict.

    The same command again goes on where it was; Ctrl-C leaves everything resumable.
    """
    from hpo import service
    from hpo.launch.local import visible_gpus
    from hpo.report.text import terminal
    from hpo.storage import create_storage
    from hpo.study_file import load

    study = load(file, settings, name)
    opened = create_storage(storage)
    row = service.begin_study(opened, study)
    gpus = visible_gpus() if device == "auto" else 0
    count = max(gpus, 1) if workers is None else workers
    if count == 0:
        click.echo(f"planned {row.name} in {opened}; start workers with: hpo worker {row.name}", err=True)
        return
    click.echo(f"{row.name} in {opened}, workers: {count}", err=True)
    interrupted = _on_signal()
    options = [f"--lease={lease}", f"--checkpoint-every={checkpoint_every}"]
    options += [f"--checkpoints={checkpoints}"] if checkpoints else []
    devices = [f"cuda:{n % gpus}" for n in range(count)] if gpus else [device] * count
    with _shown_progress() as show:
        done = service.run_locally(opened, row.name, devices, options, show, interrupted)
    if not done:
        click.echo("stopped; to go on, give the same command again", err=True)
        sys.exit(130 if interrupted.is_set() else 0)
    found = service.findings(opened, row.name)
    _print(terminal(found.report))
    [page, *_] = service.write_report(opened, found, REPORTS / row.name, DEFAULT_ARTIFACTS)
    click.echo(f"the page: {page}", err=True)
    click.echo(f"every trial, in a browser: hpo dashboard{_storage_flag(storage)}", err=True)


@cli.command()
@click.argument("studies", nargs=-1)
@storage_option
@device_option
@lease_option
@checkpoint_option
@checkpoints_option
@click.option("--forever", is_flag=True, help="Wait for further studies when nothing is left.")
@click.option(
    "--patience",
    default=900.0,
    type=click.FloatRange(0.0),
    metavar="SECONDS",
    help="How long the database may be away.",
)
@told
def worker(
    studies: tuple[str, ...],
    storage: str,
    device: str,
    lease: float,
    checkpoint_every: float,
    checkpoints: str | None,
    forever: bool,
    patience: float,
) -> None:
    """Train trials of STUDIES (all, if none is named) until nothing is left.

    Needs the storage and nothing else; start as many as you like, on as many machines. SIGTERM and Ctrl-C save the
    trial in progress and let it go.
    """
    import logging
    import warnings

    from hpo.storage import create_storage, open_storage
    from hpo.worker import WorkerOptions, work

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    warnings.simplefilter("ignore")  # of libraries, about things that a user of the worker can't change
    opened = create_storage(storage) if forever else open_storage(storage)
    options = WorkerOptions(
        device=device,
        lease_seconds=lease,
        checkpoint_seconds=checkpoint_every,
        checkpoints_url=checkpoints,
        patience_seconds=patience,
        forever=forever,
    )
    work(opened, studies, options)


@cli.command()
@click.argument("study", required=False)
@storage_option
@click.option("--watch", is_flag=True, help="Refresh until the study is done.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@told
def status(study: str | None, storage: str, watch: bool, as_json: bool) -> None:
    """Say how far STUDY (or every study) is."""
    from hpo.report import progress
    from hpo.storage import open_storage

    opened = open_storage(storage)
    if as_json:
        click.echo(json.dumps(progress.status_json(opened, study), indent=2))
    elif watch:
        _watch(lambda: progress.status(opened, study), lambda: progress.anything_open(opened, study))
    else:
        _print(progress.status(opened, study))


@cli.command()
@click.argument("study")
@storage_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write page, figures and tables into this folder."
)
@click.option("--format", "form", type=click.Choice(["terminal", "markdown"]), default="terminal", help="On stdout.")
@click.option("--publish/--no-publish", default=True, help="With -o: show the report in the dashboard too.")
@told
def report(study: str, storage: str, output: Path | None, form: str, publish: bool) -> None:
    """Compare the arms of STUDY, as far as it has been run."""
    from hpo import service
    from hpo.report.text import markdown, terminal
    from hpo.storage import open_storage

    opened = open_storage(storage)
    found = service.findings(opened, study)
    if form == "markdown":
        click.echo(markdown(found.report))
    else:
        _print(terminal(found.report))
    if output is not None:
        [page, *others] = service.write_report(opened, found, output, DEFAULT_ARTIFACTS if publish else None)
        click.echo(f"wrote {page} and {len(others)} other files", err=True)


@cli.command()
@storage_option
@click.option("--port", default=8080, type=click.IntRange(1, 65535), show_default=True)
@click.option("--read-only", is_flag=True, help="Refuse everything that changes the storage.")
@click.option(
    "--artifacts",
    envvar="HPO_ARTIFACTS",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help=f"Where reports have put their files.  [default: {DEFAULT_ARTIFACTS}, if there is one]",
)
@told
def dashboard(storage: str, port: int, read_only: bool, artifacts: Path | None) -> None:
    """Serve optuna-dashboard for the storage on 127.0.0.1."""
    from hpo.report.dashboard import serve
    from hpo.storage import open_storage

    opened = open_storage(storage)
    folder = artifacts or (DEFAULT_ARTIFACTS if DEFAULT_ARTIFACTS.is_dir() else None)
    interrupted = _on_signal()
    serve(
        opened,
        port,
        lambda url: click.echo(f"{url}  (Ctrl-C ends)", err=True),
        interrupted,
        read_only=read_only,
        artifacts=folder,
    )


@cli.command()
@click.argument("study")
@storage_option
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    help="Write into this folder.  [default: the working directory]",
)
@told
def export(study: str, storage: str, form: str, output: Path) -> None:
    """Write every trial of STUDY, and every epoch of each, as two tables."""
    from hpo.report import export as tables
    from hpo.service import find_study
    from hpo.storage import open_storage

    opened = open_storage(storage)
    row, spec = find_study(opened, study)
    for path in tables.write(spec, opened.ledger.cells(row.id), opened.ledger.curves(row.id), output, form):
        click.echo(f"wrote {path}", err=True)


@cli.command()
@click.argument("study")
@storage_option
@told
def stop(study: str, storage: str) -> None:
    """Let the workers of STUDY finish their epoch, save and let go."""
    _set_state(storage, study, "stopped")


@cli.command()
@click.argument("study")
@storage_option
@told
def resume(study: str, storage: str) -> None:
    """Let workers claim trials of a stopped STUDY again."""
    _set_state(storage, study, "running")


@cli.command()
@click.argument("study")
@storage_option
@told
def retry(study: str, storage: str) -> None:
    """Plan the failed trials of STUDY again."""
    from hpo.storage import open_storage

    ledger = open_storage(storage).ledger
    click.echo(f"planned again: {ledger.retry_failed(ledger.study(study).id)} trials", err=True)


@cli.command()
@storage_option
@told
def migrate(storage: str) -> None:
    """Take the tables of an older hpo to this version.

    Stop the older version's workers first. Studies, results and checkpoints stay.
    """
    from hpo.storage import create_storage

    click.echo(f"{create_storage(storage)}: its tables have this version", err=True)


@cli.command()
@click.argument("study")
@storage_option
@click.option("--yes", is_flag=True, help="Don't ask.")
@told
def delete(study: str, storage: str, yes: bool) -> None:
    """Remove STUDY with all its results."""
    from hpo import service
    from hpo.storage import open_storage

    opened = open_storage(storage)
    opened.ledger.study(study)
    if not yes and not click.confirm(f"delete the study {study!r} and all its results from {opened}?", err=True):
        return
    service.delete_study(opened, study)
    click.echo(f"deleted {study}", err=True)


def main() -> None:
    """The entry point of the command."""
    cli.main(prog_name="hpo")


def _print(renderable: Any) -> None:
    from rich.console import Console

    Console().print(renderable)


def _storage_flag(storage: str) -> str:
    """What a further command needs to find the storage; a URL that may hold a password is left to HPO_STORAGE."""
    return f" --storage {storage}" if storage != DEFAULT_STORAGE and storage.startswith("sqlite") else ""


def _set_state(storage: str, study: str, state: str) -> None:
    from hpo.storage import open_storage

    ledger = open_storage(storage).ledger
    ledger.set_state(ledger.study(study).id, state)
    click.echo(f"{study}: {state}", err=True)


def _on_signal() -> Event:
    """An event that SIGINT and SIGTERM set."""
    interrupted = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    return interrupted


@contextmanager
def _shown_progress() -> Iterator[Callable[[list[ArmProgress]], None]]:
    """A function that shows progress: a live table on a terminal, else a line whenever something has changed."""
    from rich.console import Console
    from rich.live import Live

    from hpo.report import progress

    console = Console(stderr=True)
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda arms: live.update(progress.table(arms))
        return
    last = ""

    def show(arms: list[ArmProgress]) -> None:
        nonlocal last
        line = progress.line(arms)
        if line != last:
            click.echo(line, err=True)
        last = line

    yield show


def _watch(view: Callable[[], Any], goes_on: Callable[[], bool]) -> None:
    """Show `view` again and again until `goes_on` says no."""
    from rich.live import Live

    interrupted = _on_signal()
    with Live(view(), refresh_per_second=1) as live:
        while goes_on() and not interrupted.wait(1.0):
            live.update(view())
        live.update(view())
