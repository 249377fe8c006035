"""Verbs on a study in the storage: stop, resume, extend, retry, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpo.cli.exit_codes import exit_codes
from hpo.cli.options import storage_option, study_argument
from hpo.cli.terminal import say

if TYPE_CHECKING:
    pass


@click.command()
@study_argument
@storage_option
@exit_codes
def stop(study: str, storage: str) -> None:
    """Stop STUDY; what its workers have done is kept.

    They finish their epoch, save, and leave the study.
    """
    from hpo import service
    from hpo.storage import open_storage

    state = service.stop_study(open_storage(storage), study)
    say(f"{study}: {state}", err=True)


@click.command()
@study_argument
@storage_option
@exit_codes
def resume(study: str, storage: str) -> None:
    """Continue a STUDY that was stopped."""
    from hpo import service
    from hpo.storage import open_storage

    state = service.resume_study(open_storage(storage), study)
    say(f"{study}: {state}", err=True)


@click.command()
@study_argument
@storage_option
@click.option("--trials", type=click.IntRange(1), help="Additional trials for every arm.")
@click.option("--epochs", type=click.IntRange(1), help="Additional epochs for every arm.")
@click.option("--seeds", type=click.IntRange(1), help="Additional seeds for every confirmed configuration.")
@exit_codes
def extend(study: str, storage: str, trials: int | None, epochs: int | None, seeds: int | None) -> None:
    """Give STUDY more to do, even after it has finished.

    Every arm gets the same. The report will say so, and how far the study was: deciding on more after seeing results
    makes a false verdict more likely than the p values say.
    """
    from hpo import service
    from hpo.errors import UserError
    from hpo.storage import open_storage

    if not (trials or epochs or seeds):
        raise UserError("nothing says how much more the study is to do", hint="give --trials, --epochs or --seeds")
    service.extend_study(open_storage(storage), study, trials, epochs, seeds)
    say(f"{study} is extended; workers go on with it: hpo worker {study}", err=True)


@click.command()
@study_argument
@storage_option
@exit_codes
def retry(study: str, storage: str) -> None:
    """Run the failed trials of STUDY again."""
    from hpo import service
    from hpo.storage import open_storage
    from hpo.words.nouns import count

    opened = open_storage(storage)
    was_stopped_early = opened.ledger.study(study).state == "failed"
    planned = service.retry_failed(opened, study)
    if planned or not was_stopped_early:
        say(f"planned again: {count(planned, 'trial')}", err=True)
    else:
        say(f"{study} goes on: none of its trials had used up its attempts when it was stopped early", err=True)
    stopped = opened.ledger.study(study).state == "stopped"
    to_go_on = f"hpo resume {study}" if stopped else f"hpo worker {study}"
    say(f"to go on: {to_go_on}", err=True)


@click.command()
@study_argument
@storage_option
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@exit_codes
def delete(study: str, storage: str, yes: bool) -> None:
    """Delete STUDY and all its results."""
    from hpo import service
    from hpo.storage import open_storage

    opened = open_storage(storage)
    opened.ledger.study(study)
    if not yes and not click.confirm(f"delete the study {study!r} and all its results from {opened}?", err=True):
        return
    service.delete_study(opened, study)
    say(f"deleted {study}", err=True)
