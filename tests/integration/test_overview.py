"""A study at a glance while it runs: from the first seconds to the last, on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from sqlalchemy import update

from hpo.plan import advance
from hpo.service import begin_study
from hpo.storage import Storage, open_storage, tables
from hpo.storage.rows import Cell, StudyRow
from hpo.study import StudySpec
from hpo.study.file import parse
from hpo.trainers.trainer import Evaluation
from hpo.watch.glance import PROVISIONAL, Glance
from hpo.watch.leanings import REST, Leaning, Leanings
from hpo.watch.overview import Watcher
from tests.integration.helpers import TRIAL
from tests.unit.test_console import numbers, shown

PEAKS = {"search": {"lr.peak": {"values": [0.05, 0.1]}}}
CLAIM = {"text": "moving is better", "greater": {"arm": "moving", "than": "fixed", "metric": "test_accuracy"}}


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    """An open storage on each kind of database."""
    opened = open_storage(storage_url)
    yield opened
    opened.close()


def begun(storage: Storage) -> tuple[StudyRow, StudySpec]:
    """A study of two arms of two trials, three seeds each to confirm with, and a claim."""
    study = parse(
        {
            "name": "digits",
            "trial": TRIAL,
            "protocol": {"confirm": {"seeds": 3}},
            "arms": {"fixed": PEAKS, "moving": PEAKS},
            "claims": [CLAIM],
        }
    )
    return begin_study(storage, study), study


def end(storage: Storage, cells: list[Cell], accuracy: float, **more: Any) -> None:
    """Give trials a result."""
    measured = f'{{"validation_accuracy": {accuracy}, "test_accuracy": {accuracy}}}'
    values = {"state": "done", "ended": "finished", "score": accuracy, "metrics": measured, "epochs": 3} | more
    with storage.engine.begin() as connection:
        connection.execute(update(tables.cell).where(tables.cell.c.id.in_([cell.id for cell in cells])).values(values))


def cells_of(storage: Storage, row: StudyRow, arm: str, phase: str) -> list[Cell]:
    return [cell for cell in storage.ledger.cells(row.id) if (cell.arm, cell.phase) == (arm, phase)]


def searched(storage: Storage) -> StudyRow:
    """One whose search is done, with its confirm phase planned, and a worker that holds a trial of it."""
    row, study = begun(storage)
    storage.ledger.register("w", "host", 1, "CPU", {})
    for arm, accuracy in (("fixed", 0.8), ("moving", 0.9)):
        end(storage, cells_of(storage, row, arm, "search"), accuracy)
    advance(storage, row, study)
    assert storage.ledger.claim("w", 600.0) is not None
    return row


def confirm(storage: Storage, row: StudyRow, seeds: int) -> None:
    """Let so many seeds of each arm end, the last planned ones first, moving always the better."""
    for arm, accuracy in (("fixed", 0.8), ("moving", 0.9)):
        for number, cell in enumerate(cells_of(storage, row, arm, "confirm")[-seeds:]):
            end(storage, [cell], accuracy + number / 1000 * (1 if arm == "moving" else 2))


def test_the_first_seconds(storage: Storage) -> None:
    """Each says what it waits for: a worker, the data, the first epoch; then there are a time and a curve."""
    begun(storage)
    watcher = Watcher(storage)

    def doing() -> str:
        [overview] = watcher.look("digits")
        return overview.doing

    assert "no worker has reported yet" == doing()
    storage.ledger.register("w", "host", 1, "CPU", {})
    assert "the workers are starting" == doing()
    lease = storage.ledger.claim("w", 600.0)
    assert lease is not None
    assert "the data is being loaded, and the first epoch trained" == doing()
    evaluations = [Evaluation(at, 2.0, {"validation_accuracy": at / 10}) for at in (1, 2, 3)]
    storage.ledger.record(lease, evaluations, 600.0)
    assert "searching" == doing()
    end(storage, [lease.cell], 0.3)
    assert storage.ledger.claim("w", 600.0) is not None
    [overview] = watcher.look("digits")
    fixed, moving = overview.arms
    assert ((0.1, 0.2, 0.3), 0.3, 1) == (fixed.curve, fixed.best, fixed.done)
    assert ((), None) == (moving.curve, moving.best)
    assert overview.time_left
    assert ["workers alive: 1 on 1 machine (1 x CPU), 2 seconds per epoch"] == list(overview.workers)
    assert () == overview.leanings


def test_what_to_do_when_all_workers_have_gone(storage: Storage) -> None:
    """Something has been done, so it is not the first one that is waited for."""
    begun(storage)
    storage.ledger.register("w", "host", 1, "CPU", {})
    lease = storage.ledger.claim("w", 600.0)
    assert lease is not None
    end(storage, [lease.cell], 0.3)
    storage.ledger.seen("w", ended=True)
    [overview] = Watcher(storage).look("digits")
    assert "no worker is left; to go on: hpo worker digits" == overview.doing


def test_claims_lean_and_are_not_decided(storage: Storage) -> None:
    """The difference of the seeds that both arms have so far, whatever it is called provisional."""
    row = searched(storage)
    watcher = Watcher(storage)
    [overview] = watcher.look("digits")
    assert () == overview.leanings
    assert "confirming the best of each arm" == overview.doing
    confirm(storage, row, 2)
    [overview] = watcher.look("digits")
    [leaning] = overview.leanings
    assert leaning.measured.startswith("moving - fixed: +9.95 [")
    assert leaning.measured.endswith("points of test accuracy, 2 seeds")
    text = shown(Glance(overview), 80)
    assert PROVISIONAL in text
    assert not {"SUPPORTED", "supported", "UNDECIDED"} & set(text.split())


def test_claims_are_compared_again_only_after_a_rest(storage: Storage) -> None:
    """A comparison that took a second is not made again for a while, nor where nothing has ended since."""
    row = searched(storage)
    now = [0.0]

    def clock() -> float:  # each look at it takes a second
        now[0] += 1.0
        return now[0]

    leanings = Leanings(storage, clock)

    def look() -> tuple[Leaning, ...]:
        return leanings.look(row, storage.ledger.progress(row.id))

    confirm(storage, row, 1)
    [first] = look()
    assert first.measured.endswith("1 seed")
    confirm(storage, row, 2)
    assert (first,) == look()
    now[0] += REST
    [second] = look()
    assert second.measured.endswith("2 seeds")
    now[0] += REST
    assert second is look()[0]


def test_over(storage: Storage) -> None:
    """Then there is a report, and nothing leans any more."""
    row = searched(storage)
    watcher = Watcher(storage)
    confirm(storage, row, 2)
    assert watcher.look("digits")[0].leanings
    confirm(storage, row, 3)
    [overview] = watcher.look("digits")
    assert ("finished", True, ()) == (overview.state, overview.is_over, overview.leanings)
    assert "the verdict: hpo report digits" == overview.doing


def test_the_last_failure(storage: Storage) -> None:
    """In one line, with its trial."""
    row, _ = begun(storage)
    [first, second] = cells_of(storage, row, "fixed", "search")
    for cell, when in ((first, 1.0), (second, 2.0)):
        end(storage, [cell], 0.0, state="failed", reason=f"reason {cell.id}", ended=None, finished=when)
    [overview] = Watcher(storage).look("digits")
    assert f"fixed, search, trial {second.id}: reason {second.id}" == overview.last_failure
    assert f"last failure: {overview.last_failure}" in shown(Glance(overview), 100)


@pytest.mark.parametrize("width", [24, 40, 80])
def test_on_a_narrow_terminal(storage: Storage, width: int) -> None:
    """No number is cut, no line is longer, however long the names are."""
    row = searched(storage)
    confirm(storage, row, 2)
    [overview] = Watcher(storage).look("digits")
    arms = tuple(replace(arm, name=f"{arm.name}_{'x' * 40}", curve=(0.1, 0.5) * 20) for arm in overview.arms)
    overview = replace(overview, arms=arms)
    narrow = shown(Glance(overview), width)
    assert not numbers(shown(Glance(overview), 400)) - numbers(narrow)
    assert max(map(cell_len, narrow.splitlines())) <= width
