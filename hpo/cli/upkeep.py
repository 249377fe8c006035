"""Verbs that put in order what a study lies in: its tables, Optuna's side of it, its images, its checkpoints."""

from __future__ import annotations

import click

from hpo.cli.exit_codes import exit_codes
from hpo.cli.options import storage_option, study_argument
from hpo.cli.terminal import say


@click.command()
@study_argument
@storage_option
@exit_codes
def repair(study: str, storage: str) -> None:
    """Restore what another tool has removed of STUDY.

    That is its Optuna studies and their trials, which optuna-dashboard and the samplers read. Workers restore them by
    themselves once they notice. No result is lost with them: results are kept elsewhere.
    """
    from hpo import service
    from hpo.storage import open_storage

    repaired = service.repair_study(open_storage(storage), study)
    for each in repaired:
        say(str(each), err=True)
    if not repaired:
        say("nothing to repair", err=True)


@click.command()
@storage_option
@exit_codes
def migrate(storage: str) -> None:
    """Bring the tables of an older hpo to this version.

    Stop the workers of the older version first. Studies, results and checkpoints are kept.
    """
    from hpo.storage import migrate_storage

    say(f"{migrate_storage(storage)}: its tables have this version", err=True)


@click.command("accept-images")
@study_argument
@storage_option
@exit_codes
def accept_images(study: str, storage: str) -> None:
    """Let the next worker decide which images STUDY is on.

    Use it if the first worker had a wrong copy of them, so that workers with the right copy are refused. It works only
    before anything was trained, since trials on different images can't be compared.
    """
    from hpo import service
    from hpo.storage import open_storage

    service.accept_images(open_storage(storage), study)
    say(f"{study}: the images of the next worker count", err=True)


@click.command()
@storage_option
@click.option(
    "--checkpoints",
    envvar="HPO_CHECKPOINTS",
    metavar="URL",
    required=True,
    help="Where workers keep checkpoints; HPO_CHECKPOINTS sets it too.",
)
@exit_codes
def clean(storage: str, checkpoints: str) -> None:
    """Remove checkpoint files that nothing refers to.

    Workers remove their own; files of killed workers and of deleted studies stay behind. Files of other databases below
    the same URL are not touched, nor are those of trials in progress.
    """
    from hpo import service
    from hpo.storage import open_storage

    removed = 0
    for path in service.clean(open_storage(storage), checkpoints):
        say(path)
        removed += 1
    say(f"removed: {removed} files", err=True)
