"""The command `hpo`: one short function per verb, which translates and calls.

Data goes to stdout, progress and errors to stderr. Exit code 0: done; 130: interrupted, everything resumable; the
others are in `hpo.errors`. What a verb needs is imported in it, so that `hpo --help` answers at once.
"""

from __future__ import annotations

import click

from hpo.cli import streams
from hpo.cli.compare import compare
from hpo.cli.convert import convert
from hpo.cli.exit_codes import exit_codes
from hpo.cli.launch_study import check, launch_study
from hpo.cli.rehearse import rehearse
from hpo.cli.results import best, dashboard, export, fetch, report, status
from hpo.cli.start_workers import start_workers, stop_workers
from hpo.cli.studies import delete, extend, resume, retry, stop
from hpo.cli.terminal import say
from hpo.cli.upkeep import accept_images, clean, migrate, repair
from hpo.cli.workers import nodes, worker


@exit_codes
def _tell_versions(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from hpo.cli.versions import versions

        say(versions())
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_versions,
    help="Show the version, and those of what matters beside it.",
)
def cli() -> None:
    """Which regularization, and how should it move during training?

    A study file states a question about training. Workers on any number of machines take its trials from one database,
    and the report says which arm wins, by how much, and how sure that is.
    """


ON_STUDIES = (
    check,
    rehearse,
    launch_study,
    compare,
    convert,
    status,
    report,
    best,
    fetch,
    dashboard,
    export,
    stop,
    resume,
    retry,
    extend,
    delete,
)
ON_WORKERS = (worker, start_workers, nodes, stop_workers)
UPKEEP = (migrate, repair, accept_images, clean)

for command in (*ON_STUDIES, *ON_WORKERS, *UPKEEP):
    cli.add_command(command)


def main() -> None:
    """Run the command; `hpo.__main__` calls it."""
    streams.prepare()
    cli.main(prog_name="hpo")
