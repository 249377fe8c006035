"""Whoever plans, watches or reports needs nothing of what training needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STUDY = Path(__file__).parents[2] / "studies" / "quickstart.toml"
LOOK = """
import sys
from hpo.__main__ import main
try:
    main()
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", str(STUDY)],
        ["launch-study", str(STUDY), "--workers", "0"],
        ["status"],
        ["status", "--json"],
        ["report", "quickstart"],
        ["export", "quickstart", "-o", "."],
        ["stop", "quickstart"],
        ["nodes"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_torch(arguments: list[str], tmp_path: Path) -> None:
    """It takes seconds to import and hundreds of megabytes."""
    environment = os.environ | {"HPO_STORAGE": f"sqlite:///{tmp_path}/hpo.db"}

    def run(*given: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LOOK, *given]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    run("launch-study", str(STUDY), "--workers", "0")
    ended = run(*arguments)
    assert (0, "False") == (ended.returncode, ended.stderr.splitlines()[-1]), ended.stdout + ended.stderr
