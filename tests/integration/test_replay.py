"""A replay of a study's own curves does what the study did, so `make bench-search` measures our protocol."""

from __future__ import annotations

import numpy as np

from benchmarks.curves import GUESSING, Curve
from benchmarks.curves.replay import Search, replay
from hpo.search.space import Params
from hpo.seeds import derive
from hpo.service import begin_study
from hpo.storage import open_storage
from tests.integration.helpers import make_study, work_here

EPOCHS, BUDGET = 6, 72
ARM = {
    "sampler": {"kind": "tpe", "startup": 4},
    "search": {
        "lr.peak": {"low": 1e-3, "high": 1e10, "log": True},  # the highest diverge
        "regularizers.l2.strength": {"low": 1e-5, "high": 1e-1, "log": True},
        "regularizers.l2.policy.factor": {"values": [1.5, 3.0]},
    },
}


def test_the_same_trials_in_the_same_order(sqlite_url: str) -> None:
    """The same proposals, pruned at the same epochs, diverged ones too, until the same budget is spent."""
    study = make_study(
        {"arm": ARM},
        trial={"epochs": EPOCHS, "data": {"train_limit": 100}},
        budget={"epochs": BUDGET},
        pruner={"kind": "median", "startup": 3, "warmup": 2, "every": 2},
    )
    storage = open_storage(sqlite_url)
    row = begin_study(storage, study)
    work_here(storage)
    cells, points = storage.ledger.cells(row.id), storage.ledger.curves(row.id)
    storage.close()

    def curve(params: Params) -> Curve:
        [cell] = [cell for cell in cells if cell.params == params]
        mine = [point for point in points if point.cell_id == cell.id]
        return Curve(
            validation=np.array([point.metrics["validation_accuracy"] for point in mine]),
            test=None,
            diverged=cell.ended == "diverged",
            worst=GUESSING,
        )

    seed = derive(study.protocol.seed, study.name, "arm", "search")
    search = Search(study.arms["arm"].search, study.arms["arm"].sampler, study.arm("arm").pruner)
    replayed = replay(search, curve, EPOCHS, BUDGET, seed=seed)
    done = sorted(cells, key=lambda cell: cell.slot)
    assert {"finished", "pruned", "diverged"} == {cell.ended for cell in done}
    assert [(cell.params, cell.epochs) for cell in done] == [(one.params, one.epochs) for one in replayed]
    assert [None if cell.ended == "pruned" else cell.score for cell in done] == [one.score for one in replayed]
