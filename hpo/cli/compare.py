"""The verb that compares two programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.exit_codes import exit_codes
from hpo.cli.options import device_option, storage_option
from hpo.cli.run_here import run_here
from hpo.cli.terminal import display, say
from hpo.cli.verdict import shown

if TYPE_CHECKING:
    from hpo.report.verdict.results import ClaimResult, Report

EXIT_CODES = {"supported": 0, "contradicted": 3, "no difference": 4, "undecided": 4, "incomplete": 1}


@click.command()
@click.argument("first")
@click.argument("second")
@click.option(
    "--length",
    type=click.IntRange(1),
    required=True,
    help="Length of each trial, in units that the programs report one by one.",
)
@click.option("--unit", default="epochs", help="What the length is counted in.")
@click.option("--metric", default="loss", help="The validation metric that is compared.")
@click.option("--maximize", is_flag=True, help="A higher value is better.  [default: a lower one is]")
@click.option("--seeds", type=click.IntRange(2, 1000), default=8, help="How often each program is run.")
@click.option("--by", type=click.FloatRange(0.0), default=0.0, help="How much better FIRST has to be.")
@click.option(
    "--line", metavar="REGEX", help="Pattern with named groups that finds the reports in what a program prints."
)
@click.option("--name", help="Name of the study.")
@click.option(
    "--workers", type=click.IntRange(1, 1024), help="Workers on this machine.  [default: one per GPU, else one]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON, for programs.")
@device_option
@storage_option
@exit_codes
def compare(
    first: str,
    second: str,
    length: int,
    unit: str,
    metric: str,
    maximize: bool,
    seeds: int,
    by: float,
    line: str | None,
    name: str | None,
    workers: int | None,
    as_json: bool,
    device: str,
    storage: str,
) -> None:
    """Say whether the command FIRST is better than SECOND.

    Both are run with the same seeds. Exit code 0: it is; 3: SECOND is; 4: not decided. Giving the same command again
    continues where it stopped; once there is a verdict, it is printed at once.
    """
    from hpo import service
    from hpo.storage import create_storage
    from hpo.study.comparison import comparison
    from hpo.study.file import parse

    table = comparison(
        (first, second), length, unit, metric, maximize=maximize, seeds=seeds, by=by, line=line, name=name
    )
    study = parse(table)
    opened = create_storage(storage)
    service.begin_study(opened, study)
    found, _ = run_here(opened, study, storage, workers, device)
    [claim] = found.report.claims
    if as_json:
        say(json.dumps(_verdict(found.report, claim), indent=2))
    else:
        display(shown(found.report, full=False, storage=storage))
    sys.exit(EXIT_CODES[claim.verdict])


def _verdict(report: Report, claim: ClaimResult) -> dict[str, Any]:
    difference = claim.difference
    return {
        "study": report.name,
        "verdict": claim.verdict,
        "metric": claim.metric.name,
        "goal": claim.metric.goal,
        "difference": difference and difference.difference,
        "interval": difference and [difference.low, difference.high],
        "p": claim.p_corrected,
        "seeds": difference.n if difference else 0,
        "means": {arm.name: arm.validation.mean if arm.validation else None for arm in report.arms},
        "reason": claim.reason,
    }
