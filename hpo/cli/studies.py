"""Verbs on a study: check, launch, stop, resume, retry, repair, delete; and on the tables that hold it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hpo.cli.options import (
    DEFAULT_ARTIFACTS,
    DEFAULT_STORAGE,
    REPORTS,
    checkpoint_option,
    checkpoints_option,
    device_option,
    lease_option,
    storage_option,
)
from hpo.cli.terminal import display, shown_progress, told
from hpo.signals import on_signal

profile_option = click.option("--profile", metavar="NAME", help="Lay the file's settings of this name over it.")
settings_option = click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Set a value over the file's and the profile's."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@profile_option
@settings_option
@told
def check(file: Path, profile: str | None, settings: tuple[str, ...]) -> None:
    """Say what FILE would run, without running it."""
    from hpo.report.outline import outline
    from hpo.study_file import load

    display(outline(load(file, settings, profile=profile)))


@click.command("launch-study")
@click.argument("file", type=click.Path(path_type=Path))
@storage_option
@click.option(
    "--workers",
    type=click.IntRange(0, 1024),
    help="Workers on this machine; 0: only plan.  [default: one per GPU, else one]",
)
@profile_option
@settings_option
@click.option("--name", help="Call the study so, not as the file and the profile do.")
@device_option
@lease_option
@checkpoint_option
@checkpoints_option
@told
def launch_study(
    file: Path,
    storage: str,
    workers: int | None,
    profile: str | None,
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

    study = load(file, settings, name, profile)
    opened = create_storage(storage)
    row = service.begin_study(opened, study)
    gpus = visible_gpus() if device == "auto" else 0
    count = max(gpus, 1) if workers is None else workers
    if count == 0:
        click.echo(f"planned {row.name} in {opened}; start workers with: hpo worker {row.name}", err=True)
        return
    click.echo(f"{row.name} in {opened}, workers: {count}", err=True)
    interrupted = on_signal()
    options = [f"--lease={lease}", f"--checkpoint-every={checkpoint_every}"]
    options += [f"--checkpoints={checkpoints}"] if checkpoints else []
    devices = [f"cuda:{n % gpus}" for n in range(count)] if gpus else [device] * count
    with shown_progress() as show:
        done = service.run_locally(opened, row.name, devices, options, show, interrupted)
    if not done:
        click.echo("stopped; to go on, give the same command again", err=True)
        sys.exit(130 if interrupted.is_set() else 0)
    found = service.findings(opened, row.name)
    display(terminal(found.report))
    [page, *_] = service.write_report(opened, found, REPORTS / row.name, DEFAULT_ARTIFACTS)
    click.echo(f"the page: {page}", err=True)
    click.echo(f"every trial, in a browser: hpo dashboard{_storage_flag(storage)}", err=True)


@click.command()
@click.argument("study")
@storage_option
@told
def stop(study: str, storage: str) -> None:
    """Let the workers of STUDY finish their epoch, save and let go."""
    _set_state(storage, study, "stopped")


@click.command()
@click.argument("study")
@storage_option
@told
def resume(study: str, storage: str) -> None:
    """Let workers claim trials of a stopped STUDY again."""
    _set_state(storage, study, "running")


@click.command()
@click.argument("study")
@storage_option
@told
def retry(study: str, storage: str) -> None:
    """Plan the failed trials of STUDY again."""
    from hpo.storage import open_storage

    ledger = open_storage(storage).ledger
    click.echo(f"planned again: {ledger.retry_failed(ledger.study(study).id)} trials", err=True)


@click.command()
@click.argument("study")
@storage_option
@told
def repair(study: str, storage: str) -> None:
    """Make again what another tool has removed of STUDY.

    That is, its Optuna studies and their trials, which optuna-dashboard and the samplers read. Workers do so by
    themselves when they notice it. Results are never lost with them: they are kept elsewhere.
    """
    from hpo import service
    from hpo.storage import open_storage

    repaired = service.repair_study(open_storage(storage), study)
    for each in repaired:
        click.echo(str(each), err=True)
    if not repaired:
        click.echo("nothing to repair", err=True)


@click.command()
@storage_option
@told
def migrate(storage: str) -> None:
    """Take the tables of an older hpo to this version.

    Stop the older version's workers first. Studies, results and checkpoints stay.
    """
    from hpo.storage import migrate_storage

    click.echo(f"{migrate_storage(storage)}: its tables have this version", err=True)


@click.command()
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


def _storage_flag(storage: str) -> str:
    """What a further command needs to find the storage; a URL that may hold a password is left to HPO_STORAGE."""
    return f" --storage {storage}" if storage != DEFAULT_STORAGE and storage.startswith("sqlite") else ""


def _set_state(storage: str, study: str, state: str) -> None:
    from hpo.storage import open_storage

    ledger = open_storage(storage).ledger
    ledger.set_state(ledger.study(study).id, state)
    click.echo(f"{study}: {state}", err=True)
