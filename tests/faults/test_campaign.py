"""A short fault campaign; `make faults` runs longer ones."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.postgres import NoPostgresError, find_binaries

VIOLATIONS = ("lost", "duplicated", "orphans", "curves_differing", "tracebacks", "not_told_apart")


def test_nothing_is_lost() -> None:
    """Thirty faults, and every cell done exactly once, with the curve of undisturbed training."""
    try:
        find_binaries()
    except NoPostgresError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tests.faults.campaign", "--faults", "30", "--seed", "7", "--repeats", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert dict.fromkeys(VIOLATIONS, 0) == {name: result[name] for name in VIOLATIONS}, done.stderr
    assert result["faults"] >= 30
    assert result["cells"] == result["done"] >= 48
