"""The verb that makes a study file of a sweep."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.exit_codes import exit_codes
from hpo.cli.terminal import say


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--length", type=click.IntRange(1), help="How many times a run reports.")
@click.option("--unit", default="epochs", help="What the length is counted in.")
@exit_codes
def convert(file: Path, length: int | None, unit: str) -> None:
    """Print the W&B sweep in FILE as a study file.

    What has no counterpart, or needs a second look, is listed above it, one line each.
    """
    import re

    import yaml

    from hpo.errors import UserError
    from hpo.report.toml import study_text
    from hpo.study.sweep import converted
    from hpo.words.visible import on_one_line

    try:
        sweep = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(sweep, dict):
        raise UserError(f"{file} is not a sweep: it holds {type(sweep).__name__}, and not a table")
    name = re.sub(r"[^A-Za-z0-9_-]", "-", str(sweep.get("name") or file.stem))
    table, notes = converted(sweep, name if name[:1].isalpha() else f"sweep-{name}"[:64], length, unit)
    for note in notes:
        say(f"# {on_one_line(note)}")
    say(f"\n{study_text(table)}", nl=False)
