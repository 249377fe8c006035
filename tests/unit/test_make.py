"""`make` without making: with what it installs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("uv", "expected"),
    [
        ("/opt/bin/uv", "/opt/bin/uv pip install --quiet --python {venv}/bin/python -c constraints.txt -e ."),
        ("", "{venv}/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ."),
    ],
)
def test_what_installs(uv: str, expected: str, tmp_path: Path) -> None:
    """A uv that is there, else pip; either takes the versions of constraints.txt."""
    venv = tmp_path / "venv"
    command = ["make", "--dry-run", f"VENV={venv}", f"UV={uv}", "quickstart"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert expected.format(venv=venv) in done.stdout.splitlines()
    assert f"{venv}/bin/hpo launch-study studies/quickstart.toml --workers 2" in done.stdout.splitlines()


def test_a_uv_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be said."""
    there = tmp_path / "uv"
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    command = ["make", "--dry-run", f"VENV={tmp_path / 'venv'}", "quickstart"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"\n{there} pip install " in done.stdout


def test_a_backend_for_uv_without_uv_is_told(tmp_path: Path) -> None:
    """It would come to the gigabytes that somebody wanted to do without."""
    command = ["make", "--dry-run", "UV=", f"VENV={tmp_path / 'venv'}", "quickstart"]
    for backend, told in (("cpu", True), ("", False)):
        done = subprocess.run(
            [*command, f"UV_TORCH_BACKEND={backend}"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert told == ("uv is not on the path, so UV_TORCH_BACKEND does nothing" in done.stdout), backend
