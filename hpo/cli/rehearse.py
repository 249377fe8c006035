"""The verb that rehearses a study's trial before a budget is spent on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli.exit_codes import exit_codes
from hpo.cli.launch_study import profile_option, settings_option
from hpo.cli.options import device_option
from hpo.cli.terminal import display, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hpo.study import StudySpec
    from hpo.study.rehearsed import Rehearsal

STYLES = {"good": "green", "weak": "yellow", "bad": "bold red"}


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@profile_option
@settings_option
@click.option("--arm", help="The arm whose trial is rehearsed.  [default: the baseline]")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON, for programs.")
@device_option
@exit_codes
def rehearse(
    file: Path, profile: str | None, settings: tuple[str, ...], arm: str | None, as_json: bool, device: str
) -> None:
    """Run a short trial of FILE to see if it can be trusted.

    It is run to its end, again with the same seed, with another seed, stopped and resumed, and pruned. Exit code 1:
    something was found because of which results would not mean what they seem to.
    """
    from hpo.errors import UserError
    from hpo.rehearsal import rehearse
    from hpo.report.render.files import replace
    from hpo.study.file import load
    from hpo.study.rehearsed import beside

    study = load(file, settings, profile=profile)
    name = arm or study.baseline
    if name not in study.arms:
        raise UserError(f"there is no arm {name!r}", hint=f"the arms are {', '.join(study.arms)}")
    found = rehearse(study, name, device, on_raise=lambda text: say(f"the trial raised: {text}", err=True))
    as_text = found.model_dump_json(indent=2)
    kept = replace(beside(file), f"{as_text}\n".encode())
    if as_json:
        say(as_text)
    else:
        display(_shown(study, name, found))
        say(f"kept for hpo check and hpo launch-study: {kept}", err=True)
    if not found.is_fit:
        sys.exit(1)


def _shown(study: StudySpec, arm: str, found: Rehearsal) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from hpo.words.nouns import count
    from hpo.words.visible import on_one_line

    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("", "what", "found"):
        view.add_column(head, overflow="fold")
    for finding in found.findings:
        words = Text(on_one_line(finding.words))
        view.add_row(Text(finding.outcome, style=STYLES[finding.outcome]), finding.about, words)
    if not found.units:
        title = f"{study.name}: a trial of {arm} can't be run to its end"
        return Group(Text(title, style="bold"), Text(), view)
    lines = [f"{found.seconds_per_unit:.3g} seconds per {study.unit}, {found.seconds_to_start:.3g} to start"]
    if found.checkpoint_bytes is not None:
        lines.append(f"a checkpoint has {found.checkpoint_bytes / 1e6:.3g} MB")
    title = f"{study.name}: a trial of {arm}, {count(found.units, study.unit)} long"
    return Group(Text(title, style="bold"), Text(), view, Text(), *map(Text, lines))
