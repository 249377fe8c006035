"""Optuna's own tools on our database: `load_study`, the `optuna` command, optuna-dashboard."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from hpo.service import begin_study
from hpo.storage import Storage
from hpo.storage.rows import StudyRow
from hpo.study import StudySpec
from tests.integration.helpers import make_study, wait_until, work_here
from tests.postgres import _free_port

PEAKS = [0.02, 0.05]
ARMS = {
    "fixed": {"search": {"lr.peak": {"values": PEAKS}}},
    "random": {
        "sampler": {"kind": "random"},
        "search": {
            "lr.peak": {"low": 0.01, "high": 0.1, "log": True},
            "regularizers.l2.policy": {"values": {"hold": {"kind": "hold"}, "gap": {"kind": "accuracy_gap"}}},
        },
    },
}
SEARCHED = {"lr.peak", "regularizers.l2.policy"}


@pytest.fixture
def study(storage: Storage) -> StudySpec:
    """A study that is done: two arms of two trials."""
    study = make_study(ARMS, confirm={"seeds": 2})
    begin_study(storage, study)
    work_here(storage)
    return study


@pytest.fixture
def row(storage: Storage, study: StudySpec) -> StudyRow:
    return storage.ledger.study(study.name)


def curves(storage: Storage, row: StudyRow) -> dict[int | None, dict[int, float | None]]:
    """Validation accuracy by epoch, by Optuna's id of the trial."""
    return {
        cell.trial_id: {
            point.at: point.metrics["validation_accuracy"]
            for point in storage.ledger.curves(row.id)
            if point.cell_id == cell.id
        }
        for cell in storage.ledger.cells(row.id)
    }


def test_load_study(storage: Storage, postgres_url: str, row: StudyRow) -> None:
    """Parameters by their dotted names, every epoch's accuracy, the last as the value: what the ledger says too."""
    fixed = optuna.load_study(study_name="digits/fixed", storage=postgres_url)
    assert PEAKS == [trial.params["lr.peak"] for trial in fixed.trials]
    searched = optuna.load_study(study_name="digits/random", storage=postgres_url)
    assert [SEARCHED, SEARCHED] == [set(trial.params) for trial in searched.trials]
    confirmed = optuna.load_study(study_name="digits/random/confirm", storage=postgres_url)
    assert [searched.best_params] * 2 == [trial.params for trial in confirmed.trials]
    for trial in fixed.trials + searched.trials + confirmed.trials:
        assert TrialState.COMPLETE == trial.state
        assert curves(storage, row)[trial._trial_id] == trial.intermediate_values
        assert trial.value == trial.intermediate_values[3]
    assert ["validation accuracy"] == fixed.metric_names
    assert optuna.study.StudyDirection.MAXIMIZE == fixed.direction


def optuna_command(url: str, *arguments: str) -> list[dict[str, Any]]:
    """What the `optuna` command answers."""
    script = "import sys, optuna.cli; sys.exit(optuna.cli.main())"
    command = [sys.executable, "-W", "ignore", "-c", script, *arguments, "--storage", url, "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    answer = json.loads(done.stdout)
    return answer if isinstance(answer, list) else [answer]


def test_the_optuna_command(postgres_url: str, study: StudySpec) -> None:
    """`studies`, `trials` and `best-trial` list what is there."""
    names = {answer["name"] for answer in optuna_command(postgres_url, "studies")}
    assert {"digits/fixed", "digits/fixed/confirm", "digits/random", "digits/random/confirm"} == names
    trials = optuna_command(postgres_url, "trials", "--study-name", "digits/random")
    assert [("COMPLETE", SEARCHED)] * 2 == [(trial["state"], set(trial["params"])) for trial in trials]
    (best,) = optuna_command(postgres_url, "best-trial", "--study-name", "digits/random")
    values = [trial["value"]["validation accuracy"] for trial in trials]
    assert max(values) == best["value"]["validation accuracy"]


def test_the_dashboard(storage: Storage, postgres_url: str, row: StudyRow, tmp_path: Path) -> None:
    """`hpo dashboard` serves every arm with its dotted parameters, its states and every epoch, and ends on Ctrl-C."""
    port, log = _free_port(), tmp_path / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "hpo", "dashboard", f"--port={port}"],
            env=os.environ | {"HPO_STORAGE": postgres_url},
            stderr=output,
        )
    try:
        wait_until(lambda: f"http://127.0.0.1:{port}/dashboard" in log.read_text() or server.poll() is not None)

        def get(path: str) -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                assert 200 == answer.status
                return str(answer.read().decode())

        assert "<title>Optuna Dashboard</title>" in get("/dashboard")
        ids = {s["study_name"]: s["study_id"] for s in json.loads(get("/api/studies"))["study_summaries"]}
        trials = json.loads(get(f"/api/studies/{ids['digits/random']}"))["trials"]
        assert ["Complete", "Complete"] == [trial["state"] for trial in trials]
        for trial in trials:
            assert SEARCHED == {parameter["name"] for parameter in trial["params"]}
            assert curves(storage, row)[trial["trial_id"]] == {
                point["step"]: point["value"] for point in trial["intermediate_values"]
            }
        server.send_signal(signal.SIGINT)
        assert 0 == server.wait(30)
    finally:
        server.kill()
        server.wait()
    assert "Traceback" not in log.read_text()
