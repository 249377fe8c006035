"""The ledger on each kind of database: who gets which cell, and what a worker without a valid lease can't do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from hpo.errors import LeaseLost, StudyError
from hpo.service import begin_study, delete_study
from hpo.storage import Storage, open_storage
from hpo.storage.ledger import Ledger
from hpo.storage.optuna.trials import Trials
from hpo.storage.rows import Cell, Lease, PlanChanges, PrefixCheckpoint, StudyRow
from hpo.study import StudySpec
from hpo.trainers.trainer import Evaluation
from tests.integration.helpers import make_study, optuna_trials

GONE = -1.0
"""Length of a lease that has run out when it is given."""


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    opened = open_storage(storage_url)
    yield opened
    opened.close()


@pytest.fixture
def ledger(storage: Storage) -> Ledger:
    return storage.ledger


def grid(cells: int, name: str = "digits") -> StudySpec:
    return make_study({"grid": {"search": {"lr.peak": {"values": [0.001 * n for n in range(1, cells + 1)]}}}}, name)


def evaluation(epoch: int, loss: float = 0.5) -> Evaluation:
    metrics = {"train_loss": loss, "validation_loss": loss, "validation_accuracy": 0.5, "strength.l2": 0.25}
    return Evaluation(epoch, 2.0, metrics)


def claim(ledger: Ledger, seconds: float = 60.0, worker: str = "w") -> Lease:
    lease = ledger.claim(worker, seconds)
    assert lease is not None
    return lease


def now(ledger: Ledger, row: StudyRow, lease: Lease) -> Cell:
    return next(cell for cell in ledger.cells(row.id) if cell.id == lease.cell.id)


def everything(storage: Storage) -> dict[str, list[tuple[object, ...]]]:
    """All rows of our tables."""
    with storage.engine.connect() as connection:
        tables = ("hpo_study", "hpo_cell", "hpo_curve", "hpo_checkpoint")
        return {name: [tuple(row) for row in connection.execute(text(f"select * from {name}"))] for name in tables}


def test_cells_are_claimed_in_their_order(storage: Storage, ledger: Ledger) -> None:
    """First planned, first claimed; what is leased is not claimed, and when nothing is left there is no lease."""
    row = begin_study(storage, grid(3))
    leases = [claim(ledger) for _ in range(3)]
    assert [0, 1, 2] == [lease.cell.slot for lease in leases]
    assert None is ledger.claim("w", 60.0)
    ledger.release(leases[1])
    assert 1 == claim(ledger).cell.slot
    assert ["leased"] * 3 == [cell.state for cell in ledger.cells(row.id)]


def test_no_cell_is_claimed_twice(storage: Storage, storage_url: str) -> None:
    """Eight connections empty a hundred cells: a hundred leases, each of a cell of its own, none left over."""
    begin_study(storage, grid(100))

    def claim_all(number: int) -> list[int]:
        mine = open_storage(storage_url)
        leases = iter(lambda: mine.ledger.claim(f"w{number}", 600.0), None)
        claimed = [lease.cell.id for lease in leases]
        mine.close()
        return claimed

    with ThreadPoolExecutor(8) as threads:
        claimed = [cell for cells in threads.map(claim_all, range(8)) for cell in cells]
    assert (100, 100) == (len(claimed), len(set(claimed)))


def test_a_lease_that_ran_out_is_claimed_again(storage: Storage, ledger: Ledger) -> None:
    """With another token, counted as another attempt; a renewed one is not."""
    row = begin_study(storage, grid(1))
    first = claim(ledger, GONE)
    second = claim(ledger, GONE, "other")
    assert first.cell.id == second.cell.id
    assert first.token != second.token
    cell = now(ledger, row, second)
    assert (2, 2, "other") == (cell.attempts, cell.claims, cell.worker)
    ledger.renew(second, 60.0)
    assert None is ledger.claim("w", 60.0)


WRITES: dict[str, Callable[[Ledger, Lease], object]] = {
    "begin_trial": lambda ledger, lease: ledger.begin_trial(lease, "digits/grid", datetime.now()),
    "propose": lambda ledger, lease: ledger.propose(lease, {}),
    "renew": lambda ledger, lease: ledger.renew(lease, 60.0),
    "record": lambda ledger, lease: ledger.record(lease, [evaluation(2)], 60.0, b"new"),
    "release": lambda ledger, lease: ledger.release(lease, b"new"),
    "retry_later": lambda ledger, lease: ledger.retry_later(lease, "error", "error"),
    "fail": lambda ledger, lease: ledger.fail(lease, "error", "error"),
    "finish": lambda ledger, lease: ledger.finish(lease, "finished", 1.0, {"validation_loss": 0.1}),
}


@pytest.mark.parametrize("write", WRITES)
def test_no_write_without_a_valid_lease(storage: Storage, ledger: Ledger, write: str) -> None:
    """A worker whose cell another has claimed learns so, and leaves no trace, in whatever it was about to do."""
    begin_study(storage, grid(1))
    stale = claim(ledger)
    ledger.record(stale, [evaluation(1)], GONE, b"old")
    claim(ledger)
    before = everything(storage)
    with pytest.raises(LeaseLost, match="another worker continues it"):
        WRITES[write](ledger, stale)
    assert before == everything(storage)


def test_progress_gives_the_attempts_back(storage: Storage, ledger: Ledger) -> None:
    """An epoch further than before sets them to 0; the same epoch once more does not."""
    row = begin_study(storage, grid(1))
    claim(ledger, GONE)
    lease = claim(ledger, GONE)
    ledger.record(lease, [evaluation(1)], GONE)
    after_one = now(ledger, row, lease)
    assert (0, 1, 2.0) == (after_one.attempts, after_one.epochs, after_one.seconds)
    lease = claim(ledger)
    ledger.record(lease, [evaluation(1)], 60.0)
    assert (1, 1) == (now(ledger, row, lease).attempts, now(ledger, row, lease).epochs)
    assert 1 == len(ledger.curves(row.id))
    ledger.record(lease, [evaluation(2)], 60.0)
    after_two = now(ledger, row, lease)
    assert (0, 2, 4.0) == (after_two.attempts, after_two.epochs, after_two.seconds)  # the curve's own sum


def test_letting_go_is_no_attempt(storage: Storage, ledger: Ledger) -> None:
    """A worker that is asked to leave may come as often as it likes; one that fails may not."""
    row = begin_study(storage, grid(1))
    for _ in range(5):
        lease = claim(ledger)
        ledger.release(lease)
    given_back = now(ledger, row, lease)
    assert ("planned", 0, 5) == (given_back.state, given_back.attempts, given_back.claims)
    for attempts in (1, 2):
        lease = claim(ledger)
        ledger.retry_later(lease, "error", "error")
        assert ("planned", attempts) == (now(ledger, row, lease).state, now(ledger, row, lease).attempts)
    ledger.release(claim(ledger))
    assert (2, 8, "error") == (
        now(ledger, row, lease).attempts,
        now(ledger, row, lease).claims,
        now(ledger, row, lease).error,
    )


def test_the_end_of_a_cell(storage: Storage, ledger: Ledger) -> None:
    """It is done, with its result, and its checkpoint gone; a worker to whom the answer did not come may ask again."""
    row = begin_study(storage, grid(1))
    lease = claim(ledger)
    ledger.record(lease, [evaluation(1)], 60.0, b"first")
    ledger.record(lease, [evaluation(2)], 60.0, b"second")
    assert b"second" == ledger.checkpoint(lease)
    last = evaluation(3, math.nan)
    for _ in range(2):
        ledger.finish(lease, "diverged", 0.0, {"validation_loss": math.inf, "validation_accuracy": 0.1}, epochs=[last])
        cell = now(ledger, row, lease)
        assert ("done", "diverged", 0.0) == (cell.state, cell.ended, cell.score)
        assert (3, pytest.approx(3 * last.seconds)) == (cell.epochs, cell.seconds)
        assert (None, 0.1, None, None) == (
            cell.metrics.get("validation_loss"),
            cell.metrics.get("validation_accuracy"),
            cell.metrics.get("test_loss"),
            cell.metrics.get("test_accuracy"),
        )
    assert None is ledger.checkpoint(lease)
    assert [0.5, 0.5, None] == [point.metrics["train_loss"] for point in ledger.curves(row.id)]
    with pytest.raises(LeaseLost):
        ledger.release(lease)
    assert None is ledger.claim("w", 60.0)


def test_a_failed_cell(storage: Storage, ledger: Ledger) -> None:
    """Set aside it is not claimed; planned again it is, with its attempts back."""
    row = begin_study(storage, grid(1))
    lease = claim(ledger)
    ledger.record(lease, [evaluation(1)], 60.0, b"saved")
    ledger.fail(lease, "why", "why")
    cell = now(ledger, row, lease)
    assert ("failed", "why", None) == (cell.state, cell.error, ledger.checkpoint(lease))
    assert None is ledger.claim("w", 60.0)
    assert 1 == ledger.retry_failed(row.id)
    again = claim(ledger)
    assert (lease.cell.id, 1, 0, None) == (again.cell.id, again.cell.attempts, again.cell.epochs, again.cell.trial_id)


def test_only_running_studies_that_are_asked_for(storage: Storage, ledger: Ledger) -> None:
    """A stopped study's cells are not claimed, nor those of studies that a worker does not serve."""
    first, second = begin_study(storage, grid(2, "first")), begin_study(storage, grid(2, "second"))
    lease = ledger.claim("w", 60.0, ["second"])
    assert lease is not None and second.id == lease.study_id
    assert first.id == claim(ledger).study_id
    ledger.set_state(second.id, "stopped")
    assert None is ledger.claim("w", 60.0, ["second"])
    assert ("stopped", []) == ledger.record(lease, [evaluation(1)], 60.0)
    assert first.id == claim(ledger).study_id
    assert None is ledger.claim("w", 60.0)
    ledger.set_state(second.id, "running")
    assert second.id == claim(ledger).study_id


def test_the_oldest_cell_of_all_studies_comes_first(storage: Storage, ledger: Ledger) -> None:
    """Whatever study it is of; one in which nothing is free is no hindrance."""
    for name in ("first", "second", "third"):
        begin_study(storage, grid(2, name))
    held = [claim(ledger) for _ in range(4)]
    ledger.release(held[3])
    assert (held[3].cell.id, held[3].study_id) == ((again := claim(ledger)).cell.id, again.study_id)
    ledger.release(held[0])
    ledger.release(held[2])
    assert [held[0].cell.id, held[2].cell.id] == [claim(ledger).cell.id for _ in range(2)]


def test_one_of_many_idle_workers_looks_what_follows(storage: Storage, ledger: Ledger) -> None:
    """Once after each end of a cell, and again when something else asks for it; when nothing is open, soon again."""
    row = begin_study(storage, grid(2))

    def due() -> list[bool]:
        [activity] = ledger.activity()
        return [activity.due, ledger.take_planning(activity), ledger.take_planning(activity), ledger.activity()[0].due]

    assert [True, True, False, False] == due()
    assert [False, False, False, False] == due()
    for lease in (claim(ledger), claim(ledger)):
        ledger.finish(lease, "finished", 0.5, {})
        assert [True, True, False, False] == due()
    ledger.plan_again(row.id)
    assert [True, True, False, False] == due()
    with storage.engine.begin() as connection:
        connection.execute(text("update hpo_planning set at = at - 1.5"))
    assert [True, True, False, False] == due(), "nothing is open: the study may have to be ended"
    ledger.set_state(row.id, "stopped")
    assert [] == ledger.activity()


def test_a_look_at_a_study_that_was_deleted(storage: Storage, ledger: Ledger) -> None:
    """It is for nobody."""
    row = begin_study(storage, grid(1))
    [activity] = ledger.activity()
    delete_study(storage, row.name)
    assert not ledger.take_planning(activity)


def test_a_deleted_study(storage: Storage, ledger: Ledger, storage_url: str) -> None:
    """Nothing of it is left, here or in Optuna's tables; a worker that was on it has lost its lease."""
    study, other = grid(2), grid(1, "other")
    begin_study(storage, study)
    lease = claim(ledger)
    Trials(storage, study).begin(lease)
    ledger.record(lease, [evaluation(1)], 60.0, b"saved")
    begin_study(storage, other)
    delete_study(storage, study.name)
    with pytest.raises(LeaseLost):
        ledger.record(lease, [evaluation(2)], 60.0)
    with pytest.raises(StudyError, match="there is no study 'digits' here"):
        ledger.study(study.name)
    assert [1, 1, 0, 0] == [len(rows) for rows in everything(storage).values()]
    assert [] == optuna_trials(storage_url, study)
    assert "other" == next(iter(ledger.studies())).name


def test_a_study_is_planned_once(storage: Storage, ledger: Ledger) -> None:
    """The same file again finds it; another one of the same name is refused with the difference."""
    row = begin_study(storage, grid(2))
    assert row == begin_study(storage, grid(2))
    assert 2 == len(ledger.cells(row.id))
    with pytest.raises(StudyError, match=r"it differs \(stored -> given\):\n  arms\.grid\.search"):
        begin_study(storage, grid(3))
    assert 2 == len(ledger.cells(row.id))


def test_the_first_worker_says_which_images(storage: Storage, ledger: Ledger) -> None:
    """Its fingerprint is kept, and every later one compared with it."""
    row = begin_study(storage, grid(1))
    assert [True, True, False] == [ledger.same_data(row.id, fingerprint) for fingerprint in ("a", "a", "b")]


def test_one_trial_per_cell(storage: Storage, ledger: Ledger, storage_url: str) -> None:
    """A cell claimed again keeps its trial; one claimed again by another worker too."""
    study = grid(2)
    begin_study(storage, study)
    trials = Trials(storage, study)
    first = claim(ledger, GONE)
    kept, params = trials.begin(first)
    second = claim(ledger, GONE)
    assert (kept._trial_id, params) == (second.cell.trial_id, second.cell.params)
    again, _ = trials.begin(second)
    assert kept._trial_id == again._trial_id
    ledger.renew(second, 60.0)
    assert [kept._trial_id] == [trial._trial_id for trial in optuna_trials(storage_url, study)]


NOTHING_NOTED = {
    "postgresql": "alter table hpo_cell add constraint nothing_noted check (trial_id is null)",
    "sqlite": "create trigger nothing_noted before update on hpo_cell when new.trial_id is not null "
    "begin select raise(abort, 'no'); end",
}


def test_a_trial_is_made_and_noted_at_once(storage: Storage, ledger: Ledger, storage_url: str) -> None:
    """One that can't be noted is not made; a worker whose lease is lost makes none."""
    study = grid(1)
    begin_study(storage, study)
    trials, lease = Trials(storage, study), claim(ledger, GONE)
    with storage.engine.begin() as connection:
        connection.execute(text(NOTHING_NOTED[connection.dialect.name]))
    with pytest.raises(IntegrityError):
        trials.begin(lease)
    assert [] == optuna_trials(storage_url, study)
    with storage.engine.begin() as connection:
        postgres = connection.dialect.name == "postgresql"
        what = "alter table hpo_cell drop constraint" if postgres else "drop trigger"
        connection.execute(text(f"{what} nothing_noted"))
    heir = claim(ledger)
    with pytest.raises(LeaseLost):
        trials.begin(lease)
    assert [] == optuna_trials(storage_url, study)
    trial, _ = trials.begin(heir)
    again, _ = trials.begin(heir)  # as after an answer that was lost
    assert trial._trial_id == again._trial_id
    assert [trial._trial_id] == [trial._trial_id for trial in optuna_trials(storage_url, study)]


def test_a_worker_that_is_paused_in_a_transaction(storage: Storage) -> None:
    """The server ends it after a while: the row locks of a process that stands still would block all others."""
    with storage.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            pytest.skip("SQLite's lock goes with its machine")
        assert "1min" == connection.execute(text("show idle_in_transaction_session_timeout")).scalar()


def test_a_cell_planned_again_leads_nobody(storage: Storage, ledger: Ledger) -> None:
    """Its curve is gone, so the checkpoints for other cells are too: who went on from one would lack those epochs."""
    row = begin_study(storage, grid(2))
    leader, follower = claim(ledger), claim(ledger)
    ledger.record(leader, [evaluation(1)], 60.0, forked=b"after one")
    ledger.fail(leader, "why", "why")
    ledger.retry_failed(row.id)
    assert [] == ledger.prefix_checkpoints(row.id)
    assert None is ledger.go_on_from(follower, PrefixCheckpoint(leader.cell.id, 1))
    assert (0, []) == (now(ledger, row, follower).epochs, ledger.curves(row.id))


def test_going_on_from_another_cell_keeps_ones_own_later_epochs(storage: Storage, ledger: Ledger) -> None:
    """A cell that goes on once more, since its worker vanished before a checkpoint, may lead a third one meanwhile."""
    row = begin_study(storage, grid(3))
    first, second, third = claim(ledger), claim(ledger), claim(ledger)
    ledger.record(first, [evaluation(1)], 60.0, forked=b"after one")
    ledger.go_on_from(second, PrefixCheckpoint(first.cell.id, 1))
    ledger.record(second, [evaluation(2)], 60.0, forked=b"after two")
    ledger.go_on_from(second, PrefixCheckpoint(first.cell.id, 1))
    assert (2, 2.0) == (now(ledger, row, second).epochs, now(ledger, row, second).seconds)
    found = ledger.go_on_from(third, PrefixCheckpoint(second.cell.id, 2))
    assert found is not None
    assert (b"after two", [1, 2]) == (found[0], [point.at for point in found[1]])


def test_a_cell_that_no_longer_goes_on_from_another(storage: Storage, ledger: Ledger) -> None:
    """Its checkpoint was damaged: it trains all epochs itself, and each counts."""
    row = begin_study(storage, grid(2))
    leader, follower = claim(ledger), claim(ledger)
    ledger.record(leader, [evaluation(1)], 60.0, forked=b"after one")
    ledger.go_on_from(follower, PrefixCheckpoint(leader.cell.id, 1))
    ledger.record(follower, [evaluation(2)], 60.0)
    assert 2.0 == now(ledger, row, follower).seconds
    ledger.go_on_from(follower, None)
    for epoch in (1, 2):
        ledger.record(follower, [evaluation(epoch)], 60.0)
    cell = now(ledger, row, follower)
    assert (None, 2, 4.0) == (cell.leader, cell.epochs, cell.seconds)


def test_nobody_waits_for_a_withdrawn_cell(storage: Storage, ledger: Ledger) -> None:
    """A worker that has read the plan before the withdrawal lets its cell wait; it is claimed nevertheless."""
    row = begin_study(storage, grid(2))
    follower = ledger.claim("w", 60.0, passed_over=[ledger.cells(row.id)[0].id])
    assert follower is not None
    leader = ledger.cells(row.id)[0]
    ledger.plan(row.id, ["grid"], lambda cells: PlanChanges((), (leader,), ()))
    ledger.wait_for(follower, PrefixCheckpoint(leader.id, 1))
    assert follower.cell.id == claim(ledger).cell.id


def test_a_withdrawn_cell_stays_so_if_its_worker_asks_again(storage: Storage, ledger: Ledger) -> None:
    """Whether it has finished; restored it is done, with what it had."""
    row = begin_study(storage, grid(1))
    lease = claim(ledger)
    for state in ("done", "withdrawn"):
        ledger.finish(lease, "finished", 1.0, {}, epochs=[evaluation(1)])
        assert state == now(ledger, row, lease).state
        ledger.plan(row.id, ["grid"], lambda cells: PlanChanges((), tuple(cells), ()))
    ledger.plan(row.id, ["grid"], lambda cells: PlanChanges((), (), tuple(cells)))
    restored = now(ledger, row, lease)
    assert ("done", 1, 1.0) == (restored.state, restored.epochs, restored.score)


def test_the_seconds_of_a_trial_that_begins_anew(storage: Storage, ledger: Ledger) -> None:
    """They are the sum of its curve at any time, whatever is trained twice."""
    row = begin_study(storage, grid(1))
    lease = claim(ledger)
    ledger.record(lease, [evaluation(epoch) for epoch in (1, 2, 3)], 60.0)
    ledger.record(lease, [evaluation(1)], 60.0)
    assert (3, 6.0, 3) == (now(ledger, row, lease).epochs, now(ledger, row, lease).seconds, len(ledger.curves(row.id)))
