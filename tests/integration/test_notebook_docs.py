"""The notebook of the documentation is run, on a small quickstart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hpo.cli import cli

REPOSITORY = Path(__file__).parents[2]


def test_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every block, one after the other."""
    blocks = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / "docs/notebook.md").read_text(), re.M | re.S)
    assert 5 == len(blocks)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    smaller = [
        "--set",
        "trial.epochs=3",
        "--set",
        "protocol.budget.epochs=36",
        "--set",
        "protocol.searches=2",
        "--workers",
        "1",
    ]
    done = CliRunner().invoke(cli, ["launch-study", str(REPOSITORY / "studies/quickstart.toml"), *smaller])
    assert 0 == done.exit_code, done.output

    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert {"grid", "fixed", "direction", "feedback"} == set(names["best"]["arm"])
    assert (3, 4) == names["mean"].shape == names["spread"].shape
    assert 4 == len(names["moved"].groupby("arm"))
    assert "a scheduled strength beats a fixed one" in capsys.readouterr().out
