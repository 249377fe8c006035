"""The ledger against a model of it: any order of what workers and people do, every row as predicted after each step.

Repeated calls as after lost answers, leases that run out, workers that come back too late, cells planned again,
studies stopped, failed, deleted and launched anew. At the end of each example the study is brought to its end.

`HPO_MODEL_EXAMPLES=200` tries that many orders, others each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select

from hpo.errors import LeaseLost, StudyError
from hpo.optuna_private import STUDIES, TRIALS
from hpo.plan import advance
from hpo.service import begin_study, delete_study, resume_study, retry_failed, stop_study
from hpo.storage import Storage, checkpoints, open_storage, parts
from hpo.storage.tables import metadata
from tests.integration.ledger_bench import PART, STUDY
from tests.integration.ledger_rows import differences, rows
from tests.integration.ledger_tables import SEEDS
from tests.integration.ledger_workers import WorkersMachine

EXAMPLES = int(os.environ.get("HPO_MODEL_EXAMPLES", "0"))
SEARCHED, CONFIRMED = 4, 2 * SEEDS
"""Cells, of both arms together."""


@pytest.fixture
def storage(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """Checkpoints of a few bytes are large in it."""
    monkeypatch.setattr(parts, "PART", PART)
    monkeypatch.setattr(checkpoints, "LARGEST_WHOLE", PART)
    opened = open_storage(storage_url)
    yield opened
    opened.close()


class LedgerMachine(WorkersMachine):
    """The workers, and the people who look after the study."""

    @rule(planner=st.sampled_from([None, 0, 1]))
    def advance(self, planner: int | None) -> None:
        """By a command, or by a worker, which looks only at what has changed since it looked last."""
        before = set(self.model.cells)
        changed = advance(self.storage, self.row, STUDY, None if planner is None else self.seen[planner])
        self._note_plan(changed, before)

    def _note_plan(self, changed: int | None, before: set[int]) -> None:
        expected, added = self.model.advance()
        assert changed is None or expected == changed
        self.model.add(added, [cell.id for cell in self.ledger.cells(self.row.id) if cell.id not in before])

    @rule()
    def retry_failed(self) -> None:
        before = set(self.model.cells)
        assert self.model.retry_failed() == retry_failed(self.storage, STUDY.name)
        self._note_plan(None, before)

    def forget_prefixes(self) -> None:
        assert self.model.forget_prefixes() == self.ledger.forget_prefixes(self.row.id)

    @precondition(lambda self: self.model.state == "running")
    @rule(how=st.sampled_from(["stop", "fail", "launch", "forget"]), title=st.sampled_from(["this", "that"]))
    def someone_looks_in(self, how: str, title: str) -> None:
        match how:
            case "stop":
                self.stop()
            case "fail":
                self.fail_the_study()
            case "launch":
                self.launch_in_other_words(title)
            case "forget":
                self.forget_prefixes()

    @precondition(lambda self: self.model.state != "running")
    @rule(how=st.sampled_from(["resume", "resume", "stop", "launch"]))
    def someone_comes_back(self, how: str) -> None:
        match how:
            case "resume":
                self.resume()
            case "stop":
                self.stop()
            case "launch":
                self.launch_in_other_words("these")

    def stop(self) -> None:
        self.model.state = "stopped" if self.model.state == "running" else self.model.state
        assert self.model.state == stop_study(self.storage, STUDY.name)

    def resume(self) -> None:
        if self.model.state == "failed":
            with pytest.raises(StudyError, match="has failed: no good"):
                resume_study(self.storage, STUDY.name)
            return
        self.model.state = "running" if self.model.state == "stopped" else self.model.state
        assert self.model.state == resume_study(self.storage, STUDY.name)

    def fail_the_study(self) -> None:
        is_running = self.model.state == "running"
        assert is_running == self.ledger.fail_study(self.row.id, "no good")
        if is_running:
            self.model.state, self.model.reason = "failed", "no good"

    def launch_in_other_words(self, title: str) -> None:
        """Which are stored, even if the study does not go on by that."""
        corrected = STUDY.model_copy(update={"title": title})
        if self.model.state in ("stopped", "failed"):
            with pytest.raises(StudyError, match=f"{STUDY.name} (is stopped|has failed)"):
                begin_study(self.storage, corrected)
        else:
            begin_study(self.storage, corrected)
        assert corrected.model_dump_json() == self.ledger.study(STUDY.name).spec

    @precondition(lambda self: self.finished)
    @rule(how_likely=st.integers(0, 2))
    def delete_and_launch_anew(self, how_likely: int) -> None:
        """Those who worked on it lose their leases, and those who ask again whether they have finished learn so too."""
        if how_likely and self.model.state != "finished":
            return
        known = set(self.model.cells)
        delete_study(self.storage, STUDY.name)
        for run in list(self.running):
            self.leave(run)
        for finish in self.finished:
            with pytest.raises(LeaseLost):
                finish()
        self.launch()
        assert known.isdisjoint(self.model.cells)

    @invariant()
    def every_row_is_as_predicted(self) -> None:
        found = rows(self.storage)
        assert [] == differences(self.model.rows(), found)
        for key, cell in found["cells"].items():
            assert set(range(1, cell["epochs"] + 1)) == set(found["curves"].get(key, ()))
            assert cell["score"] is None or cell["trial"] is not None
        by_study: dict[str, list[int]] = {}
        for optuna_study, number in sorted(found["trials"]):
            by_study.setdefault(optuna_study, []).append(number)
        assert all(list(range(len(numbers))) == numbers for numbers in by_study.values())

    def teardown(self) -> None:
        """However it has been treated, the study comes to its end, and leaves nothing behind when it is deleted."""
        try:
            if self.is_as_predicted():
                self._bring_to_its_end()
        finally:
            delete_study(self.storage, STUDY.name)
        with self.storage.engine.connect() as connection:
            tables = [table for table in metadata.sorted_tables if table.name not in ("hpo_version", "hpo_worker")]
            for table in [*tables, STUDIES, TRIALS]:
                assert 0 == connection.execute(select(func.count()).select_from(table)).scalar(), table.name

    def is_as_predicted(self) -> bool:
        """If a step has failed, there is nothing more to learn from this study."""
        return self.model.rows() == rows(self.storage)

    def _bring_to_its_end(self) -> None:
        """By people who go on with it and mend it, and workers who do what is left."""
        for _ in range(SEARCHED + 3 * CONFIRMED):
            if self.model.state == "stopped":
                self.resume()
            self.retry_failed()
            for which in range(len(self.model.leased())):
                self.a_lease_runs_out(which, False)
            self.work_undisturbed(SEARCHED + 3 * CONFIRMED, 0, may_fail=False)
            self.advance(0)
            if self.model.state == "finished" and not self.model.has_failures():
                break
        assert "finished" == self.model.state
        for finish in self.finished:
            finish()
        self.every_row_is_as_predicted()
        done = [cell for cell in self.model.cells.values() if cell.state != "withdrawn"]
        assert {"done"} == {cell.state for cell in done}
        chosen = [(cell.arm, cell.seed, repr(cell.params)) for cell in done if cell.phase == "confirm"]
        assert len(chosen) == len(set(chosen))


def test_the_ledger_does_what_its_model_says(storage: Storage) -> None:
    """Whatever the order: no cell lost or doubled, no trial without its cell, no write without a lease."""
    run_state_machine_as_test(
        lambda: LedgerMachine(storage),
        settings=settings(
            max_examples=EXAMPLES or 10,
            stateful_step_count=50,
            derandomize=not EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
            suppress_health_check=list(HealthCheck),
        ),
    )
