"""Every sampler proposes within its space, also as the first in an empty study."""

from __future__ import annotations

from typing import get_args

import pytest

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
