"""What workers do to the ledger, in any order; beside it, what the model says of the same."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import update

from hpo.errors import LeaseLost
from hpo.storage.optuna.studies import study_name
from hpo.storage.optuna.terms import rungs_from
from hpo.storage.parts import LAST, SHARED
from hpo.storage.rows import PrefixCheckpoint
from hpo.storage.tables import cell, now
from tests.integration.ledger_bench import GONE, LATE, LONG, STUDY, Bench, Run, one_of, seconds_of
from tests.integration.ledger_tables import EPOCHS, RANDOM

WHICH = st.integers(0, 5)
"""Which of those that there are."""
KEPT = st.sampled_from(["not at all", "whole", "in parts"])

DAMAGED = st.sampled_from([False, False, True])
LEASE = st.sampled_from([LONG, LONG, GONE])


class WorkersMachine(Bench):
    """The workers of the study."""

    @rule(
        worker=st.sampled_from(["one", "two", "three"]),
        seconds=LEASE,
        answered=st.sampled_from([True, True, True, False]),
    )
    def claim(self, worker: str, seconds: float, answered: bool) -> None:
        """The first cell that is free; nobody knows of the lease if the answer is lost."""
        run = self._claimed(worker, seconds)
        if run is not None and answered:
            self.running.append(run)

    @rule(seconds=LEASE, place=WHICH, is_damaged=DAMAGED, epochs=st.integers(1, EPOCHS), last=KEPT, shared=KEPT)
    def claim_and_train(
        self, seconds: float, place: int, is_damaged: bool, epochs: int, last: str, shared: str
    ) -> None:
        """What a worker does as a rule."""
        run = self._claimed("four", seconds)
        if run is not None:
            self.running.append(run)
            self._begin(run, self._place(run, place), is_damaged)
            self._record(run, epochs, last, shared, 1)

    @rule(cells=st.integers(1, 2), score=st.integers(0, 9), may_fail=st.booleans())
    def work_undisturbed(self, cells: int, score: int, may_fail: bool) -> None:
        """From claims to ends; the last cell may be one that has used up its attempts."""
        for number in range(cells):
            run = self._claimed("steady", LONG)
            if run is None:
                return
            if may_fail and number == cells - 1:
                self._fail(run)
            else:
                self._begin(run, None)
                self._finish(run, "finished", (score + 3 * number) % 10, 1)

    def _claimed(self, worker: str, seconds: float) -> Run | None:
        expected = self.model.first_free()
        lease = self.ledger.claim(worker, seconds, [STUDY.name])
        assert expected == (lease and lease.cell.id)
        if lease is None:
            return None
        self.model.claim(lease.cell.id, worker, lease.token, run_out=seconds == GONE)
        for run in [run for run in self.running if run.cell == lease.cell.id]:
            self.leave(run)
        return Run(lease)

    @precondition(lambda self: self.model.leased())
    @rule(which=WHICH, clock_was_set_back=st.booleans())
    def a_lease_runs_out(self, which: int, clock_was_set_back: bool) -> None:
        key = one_of(self.model.leased(), which)
        until = now() + 10 * LONG if clock_was_set_back else 0.0
        with self.storage.engine.begin() as connection:
            connection.execute(update(cell).where(cell.c.id == key).values(lease_until=until))
        self.model.cells[key].run_out = True

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def renew(self, which: int) -> None:
        run = one_of(self.running, which)
        self.ledger.renew(run.lease, LONG)
        self.model.cells[run.cell].run_out = False

    @precondition(lambda self: self.waiting())
    @rule(which=WHICH, place=WHICH, is_damaged=DAMAGED)
    def begin(self, which: int, place: int, is_damaged: bool) -> None:
        """With the last checkpoint, or else from where another cell is, or else from nothing."""
        run = one_of(self.waiting(), which)
        self._begin(run, self._place(run, place), is_damaged)

    def _place(self, run: Run, which: int) -> tuple[int, int] | None:
        """A place in another cell's trial, if there is any, and not always."""
        others = [place for place in self.model.forks if place[0] != run.cell]
        return one_of(others, which) if others and which else None

    def _begin(self, run: Run, place: tuple[int, int] | None, is_damaged: bool = False) -> None:
        key, about = run.cell, run.lease.cell
        run.kept = self.ledger.checkpoint(run.lease)
        assert self.model.checkpoints.get(key) == run.kept
        run.trial, params = self.trials.begin(run.lease)
        self.model.begin(key, study_name(STUDY.name, about.arm, about.phase), params)
        assert self.model.cells[key].params == params
        if run.kept is None:
            self._go_on_from_another(run, place)
        elif is_damaged:
            self.ledger.go_on_from(run.lease, None)
            self.model.fork(key, None)
        else:
            run.epochs = self.epochs_in(run.kept)

    def _go_on_from_another(self, run: Run, place: tuple[int, int] | None) -> None:
        if place is None and self.model.cells[run.cell].leader is None:
            return
        found = self.ledger.go_on_from(run.lease, place and PrefixCheckpoint(*place))
        self.model.fork(run.cell, place)
        assert (place is None) == (found is None)
        if place is not None and found is not None:
            content, points = found
            run.epochs = self.epochs_in(content)
            assert place[1] == run.epochs
            assert list(range(1, run.epochs + 1)) == [point.at for point in points]
            self.trials.flush(self.report(run, 1))

    @precondition(lambda self: self.training())
    @rule(which=WHICH, epochs=st.integers(1, EPOCHS), last=KEPT, shared=KEPT, again=st.booleans())
    def record(self, which: int, epochs: int, last: str, shared: str, again: bool) -> None:
        """One epoch or some; and the very same call again, if its answer was lost."""
        self._record(one_of(self.training(), which), epochs, last, shared, 1 + again)

    def _record(self, run: Run, epochs: int, last: str, shared: str, times: int) -> None:
        if run.epochs == EPOCHS:
            return
        begin, run.epochs = run.epochs + 1, min(run.epochs + epochs, EPOCHS)
        trained = self.train(begin, run.epochs)
        saved, forked = self.keep(run, last, LAST), self.keep(run, shared, SHARED)
        also = self.trials.changes(self.report(run, begin))
        for _ in range(times):
            state, _ = self.ledger.record(run.lease, trained, LONG, saved, also, forked)
            assert self.model.state == state
        self.model.record(run.cell, seconds_of(trained))
        self.note_saved(run, saved)
        if forked is not None:
            self.model.forks[run.cell, run.epochs] = forked

    @precondition(lambda self: self.training())
    @rule(which=WHICH, use=st.sampled_from([LAST, SHARED]))
    def vanish_before_the_record(self, which: int, use: str) -> None:
        """The parts of a checkpoint are written, and nothing refers to them."""
        run = one_of(self.training(), which)
        self.keep(run, "in parts", use)
        self.running.remove(run)

    @precondition(lambda self: self.running)
    @rule(which=WHICH, last=KEPT, reason=st.sampled_from([None, "asked to"]))
    def release(self, which: int, last: str, reason: str | None) -> None:
        run = one_of(self.running, which)
        saved = self.keep(run, last, LAST) if run.trial is not None else None
        self.ledger.release(run.lease, saved, reason)
        self.model.give_back(run.cell, reason)
        self.note_saved(run, saved)
        self.leave(run)

    @precondition(lambda self: self.running)
    @rule(which=WHICH, counted=st.booleans())
    def retry_later(self, which: int, counted: bool) -> None:
        run = one_of(self.running, which)
        self.ledger.retry_later(run.lease, "it raised", "it raised", counted=counted)
        self.model.raised(run.cell, "it raised", counted)
        self.leave(run)

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def fail(self, which: int) -> None:
        self._fail(one_of(self.running, which))

    def _fail(self, run: Run) -> None:
        self.ledger.fail(run.lease, "it failed", "it failed", self.trials.failure(run.lease))
        self.model.fail(run.cell, "it failed")
        self.leave(run)

    @rule(leader=WHICH, epochs=st.integers(1, EPOCHS - 1))
    def claim_and_wait(self, leader: int, epochs: int) -> None:
        """For a cell before it, as the worker saw that a while ago: it may be in any state by now."""
        run = self._claimed("five", LONG)
        if run is None:
            return
        before = [key for key in self.model.cells if key < run.cell]
        if before and run.cell not in self.model.checkpoints:
            place = PrefixCheckpoint(one_of(before, leader), epochs)
            self.ledger.wait_for(run.lease, place)
            self.model.wait(run.cell, place.cell, place.epochs)
            self.leave(run)
        else:
            self.running.append(run)

    @precondition(lambda self: self.training())
    @rule(
        which=WHICH,
        ended=st.sampled_from(["finished", "finished", "pruned", "diverged"]),
        score=st.integers(0, 9),
        times=st.integers(1, 2),
    )
    def finish(self, which: int, ended: str, score: int, times: int) -> None:
        self._finish(one_of(self.training(), which), ended, score, times)

    def _finish(self, run: Run, ended: str, score: int, times: int) -> None:
        """No earlier than the trial has been before: it is the same trial each time."""
        about, before = run.lease.cell, max(run.epochs, self.model.cells[run.cell].epochs)
        may_be_pruned = (about.arm, about.phase) == (RANDOM, "search") and before > 0
        if (ended == "pruned" and not may_be_pruned) or (ended == "diverged" and before == EPOCHS):
            ended = "finished"
        begin = run.epochs + 1
        run.epochs = {"finished": EPOCHS, "pruned": before, "diverged": before + 1}[ended]
        trained, value = self.train(begin, run.epochs), score / 10
        trial, pruner = self.report(run, begin, but_for_the_last=ended == "diverged"), self.trials.pruner(about)
        if ended == "diverged":
            value = 0.0
            self.model.report(run.cell, rungs_from(pruner, run.epochs, EPOCHS))
        also = self.trials.tell(trial, pruner, ended, run.epochs, EPOCHS, value)

        def finish() -> None:
            assert self.ledger.finish(run.lease, ended, value, {}, also, trained)

        for _ in range(times):
            finish()
        self.model.finish(run.cell, ended, value, seconds_of(trained))
        self.finished.append(finish)
        if run in self.running:
            self.running.remove(run)

    @precondition(lambda self: self.finished)
    @rule(which=WHICH)
    def finish_once_more(self, which: int) -> None:
        """The answer was lost, and the worker asks again after whatever has happened since: nothing changes."""
        one_of(self.finished, which)()

    @precondition(lambda self: self.late)
    @rule(which=WHICH, write=st.sampled_from(sorted(LATE)))
    def write_too_late(self, which: int, write: str) -> None:
        """Whoever holds the cell no more learns so, and nothing changes."""
        with pytest.raises(LeaseLost):
            LATE[write](self.storage, one_of(self.late, which))
