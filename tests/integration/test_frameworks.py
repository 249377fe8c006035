"""Training by a framework's own loop: real Lightning, real transformers, killed with their worker and gone on."""

from __future__ import annotations

import math
import signal
import sys
from pathlib import Path

import pytest

from hpo.storage import create_storage
from hpo.study import StudySpec
from hpo.study.file import parse
from tests.integration.helpers import Crew
from tests.integration.test_programs import curve, interrupted, undisturbed

HERE = Path(__file__).parent
UNITS, STEPS = 6, {"lightning": 6, "transformers": 4}


def study_of(framework: str, folder: Path) -> StudySpec:
    """One trial by the framework, on values that move."""
    values = {
        "lr": {"kind": "cosine", "peak": 0.03, "per": "step"},
        "weight_decay": {"strength": 0.1, "policy": {"kind": "ramp", "direction": "down", "factor": 3.0}},
        "folder": str(folder),
    }
    trial = {
        "program": f"{sys.executable} {HERE / f'train_{framework}.py'}",
        "length": {"epochs": UNITS},
        "metric": {"name": "loss"},
        "values": values,
    }
    return parse({"name": framework, "trial": trial, "arms": {"only": {}}})


@pytest.mark.parametrize("framework", list(STEPS))
@pytest.mark.slow
def test_follows_and_resumes_exactly(
    framework: str, tmp_path: Path, postgres_url: str, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports bear the study's names; values are set at each step; killed in a unit, the curve is the same."""
    monkeypatch.setenv("HPO_PROGRAMS", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(HERE.parents[1]))
    expected = undisturbed(study_of(framework, tmp_path), tmp_path)
    steps = STEPS[framework]
    moments = [(unit + (steps - 1) / steps) / UNITS for unit in range(UNITS)]
    assert [pytest.approx(0.015 * (1 + math.cos(math.pi * at)), rel=1e-3) for at in moments] == [
        point["lr"] for point in expected
    ]
    assert all({"train_loss", "validation_loss"} <= point.keys() for point in expected)
    if framework == "lightning":  # its own scheduler, which warms up, is overruled
        assert [pytest.approx(point["lr"]) for point in expected] == [point["used_lr"] for point in expected]

    storage = create_storage(postgres_url)
    cell = interrupted(storage, study_of(framework, tmp_path), crew, tmp_path, 3, signal.SIGKILL)
    assert ("finished", 2) == (cell.ended, cell.claims), cell.error
    assert expected == curve(storage, cell)
    storage.close()
