"""The tutorial is a notebook of which every cell runs: its commands as a shell would run them, its Python in one go."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
TUTORIAL = json.loads((REPOSITORY / "docs/tutorial.ipynb").read_text())
CELLS = ["".join(cell["source"]) for cell in TUTORIAL["cells"] if cell["cell_type"] == "code"]


def test_it_is_kept_without_what_it_printed() -> None:
    """So that a change of it is a change of its text."""
    for cell in TUTORIAL["cells"]:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None


def test_every_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    names: dict[str, Any] = {}
    for cell in CELLS:
        if cell.startswith("!"):
            done = subprocess.run(shlex.split(cell[1:]), capture_output=True, text=True, check=False)
            assert 0 == done.returncode, done.stdout + done.stderr
        else:
            exec(cell, names)
    assert "a strength that falls beats one that holds" in capsys.readouterr().out
    assert (12, 2) == names["mean"].shape
    moved = names["strength"] / names["strength"].iloc[0]
    assert (moved["holds"] == 1.0).all()
    assert moved["falls"].iloc[-1] < 0.15
