"""Verbs on a study file: check it, launch what it describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli.exit_codes import exit_codes
from hpo.cli.folders import try_folders
from hpo.cli.options import (
    DEFAULT_ARTIFACTS,
    REPORTS,
    checkpoint_option,
    checkpoints_option,
    device_option,
    lease_option,
    storage_option,
    track_option,
)
from hpo.cli.run_here import run_here
from hpo.cli.terminal import display, say
from hpo.cli.verdict import shown, storage_flag

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hpo.study import StudySpec

profile_option = click.option("--profile", metavar="NAME", help="Use the file's profile of this name.")
settings_option = click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override a value of the file and of the profile."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@profile_option
@settings_option
@click.option("--data", is_flag=True, help="Load the images on this machine as a worker would, and say what they are.")
@exit_codes
def check(file: Path, profile: str | None, settings: tuple[str, ...], data: bool) -> None:
    """Show what FILE would run, without running it."""
    from hpo.report.render.plan_summary import plan_summary
    from hpo.study.file import load
    from hpo.study.rehearsed import rehearsed

    study = load(file, settings, profile=profile)
    rehearsal = rehearsed(study, file)
    plan = plan_summary(study, rehearsal, study.trainer.missing(study.trials))
    found = _images_of(study) if data else None
    display(plan)
    if found:
        display(found)
    runs_a_program = bool(study.trainer.allows(study.trials))
    if rehearsal is None and runs_a_program:
        say(f"to try a short trial of the program before you launch the study: hpo rehearse {file}")


def _images_of(study: StudySpec) -> RenderableType:
    from hpo.study import parse_trial

    return study.trainer.look_at_data(
        {arm: parse_trial(dict(study.arm(arm).trial), f"arms.{arm}") for arm in study.arms}
    )


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
@click.option("--name", help="Name of the study.  [default: the file's name and the profile's]")
@device_option
@lease_option
@checkpoint_option
@checkpoints_option
@track_option
@click.option(
    "--despite-rehearsal",
    is_flag=True,
    help="Launch it even though its rehearsal found a problem; reports will say so.",
)
@exit_codes
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
    track: tuple[str, ...],
    despite_rehearsal: bool,
) -> None:
    """Run the study in FILE here, and print its verdict.

    It is planned first, then run by workers on this machine.
    Giving the same command again continues where it stopped; after Ctrl-C everything can be resumed.
    """
    from hpo import service
    from hpo.report.verdict.failing import trials_failed
    from hpo.report.verdict.kept import reported
    from hpo.storage import create_storage
    from hpo.study.file import load
    from hpo.study.rehearsed import rehearsed

    study = load(file, settings, name, profile)
    if workers != 0:
        try_folders(REPORTS / study.name, DEFAULT_ARTIFACTS)
    opened = create_storage(storage)
    rehearsal = rehearsed(study, file)
    if not despite_rehearsal:
        service.refuse_unfit(opened, study, rehearsal)
    row = service.begin_study(opened, study, rehearsal)
    if workers == 0:
        say(f"planned {row.name} in {opened}; start workers with: hpo worker {row.name}", err=True)
        return
    options = [f"--lease={lease}", f"--checkpoint-every={checkpoint_every}", *(f"--track={one}" for one in track)]
    found, logs = run_here(opened, study, storage, workers, device, options, checkpoints)
    display(shown(found.report, full=False, storage=storage, as_page=False))
    [page, *_] = service.write_report(opened, found, REPORTS / row.name, DEFAULT_ARTIFACTS)
    say(f"the page: {page}", err=True)
    say(f"every trial, in a browser: hpo dashboard{storage_flag(storage)}", err=True)
    if failure := trials_failed(row.name, reported(found.study, found.cells), logs):
        raise failure
