"""A search that may take so many hours: what is not begun by then is not run, and the report says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpo.plan import advance
from hpo.service import begin_study, is_done, verdict
from hpo.storage import Storage, open_storage
from hpo.storage.rows import Lease, StudyRow
from hpo.study import StudySpec
from hpo.trainers.trainer import Evaluation
from tests.integration.helpers import make_study, work_here

RANGE = {"search": {"lr.peak": {"low": 0.01, "high": 0.2}}}
TWO = {name: {"sampler": {"kind": "random"}, **RANGE} for name in ("one", "two")}
HOUR = 3600.0


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    """An open storage without studies, on each kind of database in turn."""
    opened = open_storage(storage_url)
    yield opened
    opened.close()


def study(hours: float) -> StudySpec:
    """Two arms of six trials each, if the time is enough for them."""
    return make_study(TWO, budget={"trials": 6, "hours": hours}, confirm={"seeds": 2})


def states(storage: Storage, row: StudyRow, arm: str, phase: str = "search") -> list[str]:
    """Of an arm's cells."""
    return [cell.state for cell in storage.ledger.cells(row.id) if (cell.arm, cell.phase) == (arm, phase)]


def trained(storage: Storage, row: StudyRow, lease: Lease, seconds: float) -> None:
    """The trial has taken so long; the arm's other trials go on."""
    storage.ledger.propose(lease, {"lr.peak": 0.01 * lease.cell.id})
    epochs = [Evaluation(1, seconds, {"validation_accuracy": 0.5})]
    storage.ledger.finish(lease, "finished", 0.5, {"validation_accuracy": 0.5}, epochs=epochs)
    advance(storage, row, study(1.0))


def claim(storage: Storage) -> Lease:
    """The next cell."""
    lease = storage.ledger.claim("w", 60.0)
    assert lease is not None
    return lease


def test_in_the_middle_of_a_search(storage: Storage) -> None:
    """When an arm has trained for an hour its open trials are withdrawn; the other arm goes on, and so does its confirm
    phase. What a worker holds by then it finishes."""
    row = begin_study(storage, study(1.0))
    trained(storage, row, claim(storage), 0.5 * HOUR)  # one
    assert ["done", *["planned"] * 5] == states(storage, row, "one")
    trained(storage, row, claim(storage), 0.1 * HOUR)  # two
    held, of_two = claim(storage), claim(storage)
    trained(storage, row, claim(storage), 0.6 * HOUR)  # one
    assert ["done", "leased", "done", *["withdrawn"] * 3] == states(storage, row, "one")
    assert [] == states(storage, row, "one", "confirm")
    trained(storage, row, held, 0.2 * HOUR)
    assert ["planned"] * 2 == states(storage, row, "one", "confirm")
    assert ["done", "leased", *["planned"] * 4] == states(storage, row, "two")
    assert not is_done(storage, row, study(1.0))
    report = verdict(storage, row.name)
    assert "one: the time limit ended its search, 3 of 6 trials did not start" in report.failures
    storage.ledger.release(of_two)


def test_a_whole_study(storage: Storage) -> None:
    """With real workers and no time at all, one trial of each arm is trained, and confirmed."""
    short = study(1e-9)
    row = begin_study(storage, short)
    work_here(storage)
    assert "finished" == storage.ledger.study(row.name).state
    for arm in TWO:
        searched = states(storage, row, arm)
        assert {"done", "withdrawn"} == set(searched)
        assert 1 <= searched.count("done") < 6
        assert ["done"] * 2 == states(storage, row, arm, "confirm")


def test_time_enough(storage: Storage) -> None:
    """Then nothing is different."""
    row = begin_study(storage, study(100.0))
    work_here(storage)
    for arm in TWO:
        assert ["done"] * 6 == states(storage, row, arm)
    assert not [line for line in verdict(storage, row.name).failures if "time limit" in line]
