"""`hpo --version`: what a question about hpo is answered by, on one line."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata

import pytest
from click.testing import CliRunner

from hpo import __version__
from hpo.cli import cli, versions
from hpo.storage.tables import SCHEMA_VERSION


def test_the_versions_that_matter() -> None:
    """The first word and the version come first, as programs may look for them."""
    done = CliRunner().invoke(cli, ["--version"])
    assert 0 == done.exit_code
    expected = [
        f"hpo, version {__version__} (Python {platform.python_version()}",
        f"torch {metadata.version('torch')}",
        f"optuna {metadata.version('optuna')}",
        f"tables of version {SCHEMA_VERSION})\n",
    ]
    assert expected == _parts(done.output)


def _parts(line: str) -> list[str]:
    first, *others = line.split(", ")
    return [f"{first}, {others[0]}", *others[1:]]


def test_nothing_large_is_imported() -> None:
    """The version of torch is known without torch."""
    code = "import sys; from hpo.cli.versions import versions; versions(); sys.exit('torch' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and no error."""
    monkeypatch.setattr(versions, "BESIDE", ("no-such-distribution",))
    assert ", no-such-distribution not installed, " in versions.versions()
