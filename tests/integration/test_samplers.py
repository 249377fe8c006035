"""Every sampler proposes within its space, also as the first in an empty study."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from hpo.report.figures import figures
from hpo.report.render.export import trials
from hpo.report.verdict.compare import compare
from hpo.search import Sampler
from hpo.service import begin_study
from hpo.storage import open_storage
from tests.integration.helpers import make_study, work_here

KINDS = [member.model_fields["kind"].default for member in get_args(get_args(Sampler)[0])]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "grid"])
def test_a_sampled_arm(storage_url: str, kind: str) -> None:
    """Its cells are done, with parameters of their own in range, and the trials hold the same."""
    search = {"lr.peak": {"low": 0.01, "high": 0.1, "log": True}, "regularizers.l2.strength": {"low": 0.0, "high": 0.1}}
    arm = {"sampler": {"kind": kind}, "search": search, "budget": {"trials": 4}}
    storage = open_storage(storage_url)
    row = begin_study(storage, make_study({"arm": arm}, trial={"epochs": 1}))
    work_here(storage)
    cells = storage.ledger.cells(row.id)
    assert ["done"] * 4 == [cell.state for cell in cells]
    params = [cell.params or {} for cell in cells]
    assert len({point["lr.peak"] for point in params}) == 4
    assert all(0.01 <= point["lr.peak"] <= 0.1 and 0.0 <= point["regularizers.l2.strength"] <= 0.1 for point in params)
    [study] = storage.optuna.get_all_studies()
    assert params == [trial.params for trial in storage.optuna.get_all_trials(study._study_id)]
    storage.close()


@pytest.mark.parametrize(
    "sampler",
    [
        {"kind": "grid"},
        {"kind": "random"},
        {"kind": "tpe", "startup": 4},
        {"kind": "gp", "startup": 4},
        {"kind": "qmc"},
    ],
)
def test_parameters_under_a_choice(sqlite_url: str, sampler: dict[str, Any]) -> None:
    """Each trial has what exists at its point, within its own range, in Optuna too; figures can be made of it."""
    peaks = {"sgd": [0.05, 0.2], "adam": [0.001, 0.01]}
    grid = sampler["kind"] == "grid"
    then = {
        label: {"lr.peak": {"values": ends} if grid else {"low": ends[0], "high": ends[1], "log": True}}
        for label, ends in peaks.items()
    }
    optimizers = {"values": {label: {"kind": label} for label in peaks}, "then": then}
    arm = {"sampler": sampler, "search": {"optimizer": optimizers}, "budget": {"trials": 12}}
    storage = open_storage(sqlite_url)
    study = make_study({"arm": arm}, trial={"epochs": 1}, confirm={"seeds": 1})
    row = begin_study(storage, study)
    work_here(storage)
    cells = storage.ledger.cells(row.id)
    searched = [cell.params or {} for cell in cells if cell.phase == "search"]
    assert (4 if grid else 12) == len(searched)
    assert {"sgd", "adam"} == {point["optimizer"] for point in searched}
    for point in searched:
        label = str(point["optimizer"])
        assert {"optimizer", f"lr.peak if optimizer={label}"} == set(point)
        assert peaks[label][0] <= float(point[f"lr.peak if optimizer={label}"]) <= peaks[label][1]
    [first, *_] = storage.optuna.get_all_studies()
    assert searched == [trial.params for trial in storage.optuna.get_all_trials(first._study_id)]
    report = compare(study, cells, storage.ledger.curves(row.id))
    assert figures(study, cells, storage.ledger.curves(row.id), report)
    assert {"lr.peak if optimizer=sgd", "lr.peak if optimizer=adam"} <= set(trials(study, cells).columns)
    storage.close()
