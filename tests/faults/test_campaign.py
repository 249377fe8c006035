"""Short fault campaigns; `make faults` runs longer ones."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.postgres import NoPostgresError, find_binaries

VIOLATIONS = (
    "lost",
    "duplicated",
    "orphans",
    "units_doubled",
    "curves_differing",
    "tracebacks",
    "not_told_apart",
    "programs_left",
)


def run_campaign(*options: str) -> dict[str, Any]:
    """What a campaign counts, once it has found nothing that must not be."""
    try:
        find_binaries()
    except NoPostgresError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tests.faults.campaign", "--faults=30", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert dict.fromkeys(VIOLATIONS, 0) == {name: result[name] for name in VIOLATIONS}, done.stderr
    assert result["faults"] >= 30
    return result


def test_nothing_is_lost() -> None:
    """Thirty faults, and every cell done exactly once, with the curve of undisturbed training."""
    result = run_campaign("--seed=7", "--repeats=1")
    assert result["cells"] == result["done"] >= 24


@pytest.mark.slow
def test_nothing_is_lost_of_programs() -> None:
    """The same where trials are programs: killed, deaf, twofold in what they write, and ended in all ways there are."""
    result = run_campaign("--seed=7", "--repeats=1", "--trials=programs")
    assert result["cells"] == result["done"] >= 23
    assert {"finished", "diverged", "failed"} <= set(result["ended"])
    assert {"program killed", "group killed"} & set(result["by_kind"])
