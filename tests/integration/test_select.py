"""Which epoch is a trial's score: the last one, or the best."""

from __future__ import annotations

from itertools import groupby

import pytest

from hpo.evidence.ranking import ranking
from hpo.service import begin_study
from hpo.storage import open_storage
from hpo.trainers.images.reported import OBJECTIVE
from tests.integration.helpers import make_study, work_here

RATES = [0.3, 0.6, 1.0]


@pytest.mark.parametrize(("select", "of"), [("last", lambda accuracies: accuracies[-1]), ("best", max)])
def test_the_score(sqlite_url: str, select: str, of: object) -> None:
    """Of search and confirm trials, in Optuna as in the ledger; what is measured is of the last epoch in any case."""
    arm = {"one": {"search": {"lr.peak": {"values": RATES}}}}
    storage = open_storage(sqlite_url)
    unsteady = {"epochs": 6, "lr": {"kind": "constant", "peak": 0.3}}
    row = begin_study(storage, make_study(arm, trial=unsteady, select=select, confirm={"seeds": 1}))
    work_here(storage)
    cells = storage.ledger.cells(row.id)
    points = groupby(storage.ledger.curves(row.id), key=lambda point: point.cell_id)
    curves = {cell: [point.metrics["validation_accuracy"] or 0.0 for point in curve] for cell, curve in points}
    assert callable(of)
    assert [of(curves[cell.id]) for cell in cells] == [cell.score for cell in cells]
    assert [curves[cell.id][-1] for cell in cells] == [cell.metrics.get("validation_accuracy") for cell in cells]
    assert any(max(curve) > curve[-1] for curve in curves.values()), "the two would be the same"
    searched = [cell for cell in cells if cell.phase == "search"]
    best = max(searched, key=lambda cell: of(curves[cell.id]))
    assert best.params == ranking(OBJECTIVE, cells)[0].params == cells[-1].params
    values = [
        trial.value
        for one in storage.optuna.get_all_studies()
        for trial in storage.optuna.get_all_trials(one._study_id)
    ]
    assert [cell.score for cell in cells] == values
    storage.close()


@pytest.mark.parametrize("select", ["last", "best"])
def test_the_best_net_put_back(sqlite_url: str, select: str) -> None:
    """With early stopping's score = "best" what is measured, and counts, is of the best epoch, as the ledger has it."""
    arm = {"one": {"search": {"lr.peak": {"values": RATES}}}}
    storage = open_storage(sqlite_url)
    stopping = {"patience": 2, "score": "best"}
    unsteady = {"epochs": 8, "lr": {"kind": "constant", "peak": 0.3}, "early_stopping": stopping}
    row = begin_study(storage, make_study(arm, trial=unsteady, select=select, confirm={"seeds": 2}))
    work_here(storage)
    cells = storage.ledger.cells(row.id)
    points = groupby(storage.ledger.curves(row.id), key=lambda point: point.cell_id)
    curves = {cell: [(point.metrics["validation_accuracy"] or 0.0, point) for point in curve] for cell, curve in points}
    for cell in cells:
        accuracy, point = max(curves[cell.id], key=lambda pair: pair[0])
        assert (accuracy, accuracy) == (cell.score, cell.metrics["validation_accuracy"])
        assert point.metrics["validation_loss"] == cell.metrics["validation_loss"]
    assert any(max(accuracy for accuracy, _ in curve) > curve[-1][0] for curve in curves.values()), (
        "the two would be the same"
    )
    storage.close()
