"""What a trial costs the server: statements counted while a real worker trains a study with TPE and pruning."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event

from hpo.service import begin_study
from hpo.storage import Storage
from tests.integration.helpers import make_study, work_here

SEARCH = {
    "lr.peak": {"low": 1e-3, "high": 0.5, "log": True},
    "optimizer.momentum": {"low": 0.0, "high": 0.9},
    "regularizers.l2.strength": {"low": 1e-5, "high": 1e-1, "log": True},
    "lr.kind": {"values": ["cosine", "constant"]},
}
STUDY = make_study(
    {"tpe": {"sampler": {"kind": "tpe", "startup": 2}, "search": SEARCH}},
    trial={"epochs": 20, "batch_size": 100, "data": {"train_limit": 100}},
    budget={"trials": 8},
    pruner={"kind": "median", "startup": 2, "warmup": 4, "every": 4},
)


@pytest.mark.parametrize(("together", "most"), [(0.0, 26), (3600.0, 10)])
def test_statements_of_a_trial(storage: Storage, monkeypatch: pytest.MonkeyPatch, together: float, most: int) -> None:
    """At most 26 of 20 epochs, each epoch written by itself; fewer where epochs are so short that they are not."""
    monkeypatch.setattr("hpo.worker.reporter.FLUSH_SECONDS", together)
    row, worker, sent = begin_study(storage, STUDY), threading.current_thread(), list[str]()

    def note(statement: str) -> None:
        if threading.current_thread() is worker:
            sent.extend(statement.split(";\n"))

    @event.listens_for(storage.engine, "before_cursor_execute")
    def executed(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        note(statement)

    @event.listens_for(storage.engine, "begin")
    def began(connection: Any) -> None:
        if not connection.get_execution_options().get("hpo_autocommit"):
            note("BEGIN")
            note("COMMIT")

    work_here(storage)
    cells = storage.ledger.cells(row.id)
    assert ["done"] * 8 == [cell.state for cell in cells]
    claims = [place for place, statement in enumerate(sent) if "token=" in statement and "SKIP LOCKED" in statement]
    costs = [after - before for before, after in pairwise(claims)][1:8]  # the first has to begin
    whole = [cost for cost, cell in zip(costs, cells[1:], strict=False) if cell.ended == "finished"]
    assert whole
    assert max(whole) <= most, costs
    assert sum(cell.epochs for cell in cells) == len(storage.ledger.curves(row.id))
