"""What `hpo --help` says of each command."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from hpo.cli import cli


@pytest.mark.parametrize("command", [[], ["start-workers"]])
def test_each_command_is_told_whole(command: list[str]) -> None:
    """On one line of 80 columns, and not cut."""
    told = CliRunner().invoke(cli, [*command, "--help"], terminal_width=80).output
    _, commands = told.split("Commands:\n")
    lines = commands.splitlines()
    assert len(lines) >= 4
    for line in lines:
        assert line.startswith("  ") and line[2] != " " and line.endswith("."), line
        assert not line.endswith("...") and len(line) <= 80, line
