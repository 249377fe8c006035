"""Verbs that read: status, report, dashboard, export."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hpo.cli.completion import studies
from hpo.cli.exit_codes import exit_codes
from hpo.cli.options import (
    DEFAULT_ARTIFACTS,
    arm_option,
    checkpoints_option,
    some_studies_argument,
    storage_option,
    study_argument,
)
from hpo.cli.terminal import display, is_terminal, refresh, say
from hpo.cli.verdict import shown
from hpo.process.signals import on_signal


@click.command()
@click.argument("study", required=False, shell_complete=studies)
@storage_option
@click.option("--watch", is_flag=True, help="Watch it at a glance until it is done.")
@click.option("--time", "of_time", is_flag=True, help="Show where the time of STUDY went instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@exit_codes
def status(study: str | None, storage: str, watch: bool, of_time: bool, as_json: bool) -> None:
    """Show the progress of STUDY, or of every study."""
    from hpo.errors import UserError
    from hpo.storage import open_storage
    from hpo.watch import progress

    if of_time and (study is None or watch):
        raise UserError("--time is about one study, as it is now", hint="hpo status STUDY --time, without --watch")
    opened = open_storage(storage)
    if of_time and study is not None:
        from hpo.watch import times

        if as_json:
            say(json.dumps(times.times_json(opened, study), indent=2))
        else:
            display(times.times_view(opened, study))
    elif as_json:
        say(json.dumps(progress.status_json(opened, study), indent=2))
    elif watch:
        # What compares claims takes a while to import, which those who don't watch need not wait for.
        from hpo.watch.glance import glances
        from hpo.watch.overview import Watcher

        watcher = Watcher(opened)
        at_a_glance = is_terminal()
        refresh(
            lambda: glances(watcher.look(study)) if at_a_glance else progress.status(opened, study),
            lambda: progress.anything_open(opened, study),
        )
    else:
        display(progress.status(opened, study))


@click.command()
@some_studies_argument
@storage_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write page, figures and tables into this folder; of several studies an index, and a folder for each.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown"]),
    default="terminal",
    help="Format of the printed report.",
)
@click.option("--full", is_flag=True, help="Print all of it: rules, tables, configurations.  [default: one screen]")
@click.option("--publish/--no-publish", default=True, help="Also show the report in the dashboard, if -o is given.")
@exit_codes
def report(studies: tuple[str, ...], storage: str, output: Path | None, form: str, full: bool, publish: bool) -> None:
    """Compare the arms of each STUDY, as far as it has run.

    On a terminal it is one screen for each study: the verdict on each claim, the arms, what that rests on, and what
    weakens it. --full prints everything else too, as Markdown and the page always do.
    """
    from hpo import service
    from hpo.report.render.text import markdown
    from hpo.storage import open_storage

    opened = open_storage(storage)
    found = [service.findings(opened, study) for study in dict.fromkeys(studies)]
    for each in found:
        if form == "markdown":
            say(markdown(each.report))
        else:
            display(shown(each.report, full=full, storage=storage, as_page=output is None))
    if output is not None:
        artifacts = DEFAULT_ARTIFACTS if publish else None
        if len(found) == 1:
            [page, *others] = service.write_report(opened, found[0], output, artifacts)
        else:
            [page, *others] = service.write_reports(opened, found, output, artifacts)
        say(f"wrote {page} and {len(others)} other files", err=True)


@click.command()
@study_argument
@storage_option
@arm_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@exit_codes
def best(study: str, storage: str, arm: str | None, as_json: bool) -> None:
    """Print the winning trial of STUDY as a table [trial].

    The table can be used in a study file. It is the configuration that stands for its arm in the report, chosen on
    validation alone. Comments say what it reached.
    """
    from hpo import service
    from hpo.report.verdict.winner import winner, winner_json
    from hpo.storage import open_storage

    found = service.findings(open_storage(storage), study)
    won = winner(found.study, found.cells, found.report, arm)
    say(json.dumps(winner_json(won), indent=2) if as_json else str(won), nl=as_json)


@click.command()
@study_argument
@storage_option
@arm_option
@click.option("--seed", type=int, help="The confirm seed whose weights you want.  [default: the first]")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="[default: STUDY-ARM.pt]")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@checkpoints_option
@exit_codes
def fetch(
    study: str,
    storage: str,
    arm: str | None,
    seed: int | None,
    output: Path | None,
    force: bool,
    checkpoints: str | None,
) -> None:
    """Write the weights of STUDY's winning trial to a file.

    `hpo.load_net` reads it. Weights are kept if the study's protocol had `keep_weights = true` when its confirm phase
    began.
    """
    from hpo import service
    from hpo.storage import open_storage

    written = service.fetch_weights(open_storage(storage), study, arm, seed, output, checkpoints, force=force)
    say(f"wrote {written}", err=True)


@click.command()
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
@exit_codes
def dashboard(storage: str, port: int, read_only: bool, artifacts: Path | None) -> None:
    """Serve optuna-dashboard, and a live page of each study.

    Both are for this machine alone: they are served on 127.0.0.1.
    """
    from hpo.storage import open_storage
    from hpo.watch.dashboard import serve
    from hpo.watch.live_page import LIVE

    def say_where(url: str) -> None:
        say(f"{url}/dashboard  (Ctrl-C ends)", err=True)
        say(f"{url}{LIVE}  shows studies as they run", err=True)

    opened = open_storage(storage)
    folder = artifacts or (DEFAULT_ARTIFACTS if DEFAULT_ARTIFACTS.is_dir() else None)
    interrupted = on_signal()
    serve(
        opened,
        port,
        say_where,
        interrupted,
        read_only=read_only,
        artifacts=folder,
    )


@click.command()
@study_argument
@storage_option
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    help="Write into this folder.  [default: the working directory]",
)
@exit_codes
def export(study: str, storage: str, form: str, output: Path) -> None:
    """Write the trials and epochs of STUDY as two tables."""
    from hpo.report.render import sheets
    from hpo.service import find_study
    from hpo.storage import open_storage

    opened = open_storage(storage)
    row, spec = find_study(opened, study)
    for path in sheets.write(spec, opened.ledger.cells(row.id), opened.ledger.curves(row.id), output, form):
        say(f"wrote {path}", err=True)
