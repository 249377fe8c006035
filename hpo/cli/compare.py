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

if TYPE_CHECKING:
    from hpo.report.verdict.results import ClaimResult, Report

EXIT_CODES = {"supported": 0, "contradicted": 3, "no difference": 4, "undecided": 4, "incomplete": 1}


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--length", type=click.IntRange(1), required=True, help="Units of each trial, reported one by one.")
@click.option("--unit", default="epochs", help="The word for the units of the length.")
@click.option("--metric", default="loss", help="The metric of validation that decides.")
@click.option("--maximize", is_flag=True, help="A higher value is better; without it a lower one is.")
@click.option("--seeds", type=click.IntRange(2, 1000), default=8, help="How often each program is run.")
@click.option("--by", type=click.FloatRange(0.0), default=0.0, help="How much better the first one has to be.")
@click.option("--line", metavar="REGEX", help="Finds a report in a line that a program prints, by named groups.")
@click.option("--name", help="Call the study so.")
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
    """Run the commands FIRST and SECOND with the same seeds and say whether the first one is better.

    Exit code 0: it is; 3: the second one is; 4: not decided. The same command again goes on where it was, and gives
    the same verdict at once when it has been given before.
    """
    from hpo import service
    from hpo.report.render.text import terminal
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
        display(terminal(found.report))
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
