"""Failed trials that are tried again after the confirm phase: the same result as if they had never failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator

import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from hpo.cli import cli
from hpo.plan import advance
from hpo.service import begin_study, findings, is_done, repair_study, retry_failed
from hpo.storage import Storage, open_storage
from hpo.storage.optuna.trials import Trials
from hpo.storage.rows import Cell, StudyRow
from hpo.storage.states import CONFIRM, SEARCH
from hpo.study import StudySpec
from hpo.trainers.trainer import Evaluation
from tests.integration.helpers import make_study

PEAKS = [0.1, 0.2, 0.3]
EPOCHS = 3
STUDY = make_study({"grid": {"search": {"lr.peak": {"values": PEAKS}}}}, confirm={"seeds": 2}, attempts=1)
Scores = Callable[[Cell], float | None]


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    opened = open_storage(storage_url)
    yield opened
    opened.close()


def run(storage: Storage, row: StudyRow, scores: Scores, study: StudySpec = STUDY) -> None:
    """What a worker does, without training: every trial gives its score, or fails if it has none."""
    ledger = storage.ledger
    while not is_done(storage, row, study):
        while (lease := ledger.claim("w", 60.0)) is not None:
            score = scores(lease.cell)
            if score is None:
                ledger.fail(lease, "Traceback …", "net.py:3 in f: OSError: x")
                continue
            last = accuracy(score)
            test = {"test_accuracy": score} if lease.cell.phase == CONFIRM else {}
            epochs = [Evaluation(n, 1.0, last) for n in range(1, EPOCHS + 1)]
            ledger.finish(lease, "finished", score, last | test, epochs=epochs)


def accuracy(value: float) -> dict[str, float]:
    return {"validation_accuracy": value}


def peak(cell: Cell) -> float:
    return float((cell.params or {})["lr.peak"])


def confirmed(storage: Storage, row: StudyRow) -> list[tuple[float, str]]:
    return [(peak(cell), cell.state) for cell in storage.ledger.cells(row.id) if cell.phase == CONFIRM]


def hpo(storage: Storage, *arguments: str) -> str:
    url = storage.url.render_as_string(hide_password=False)
    answer = CliRunner().invoke(cli, arguments, env={"HPO_STORAGE": url})
    assert 0 == answer.exit_code, answer.output
    return answer.output


def test_the_retried_trial_is_the_best(storage: Storage) -> None:
    """The former choice is withdrawn with its results, the new one is confirmed, and the report is of that alone."""
    row = begin_study(storage, STUDY)
    run(storage, row, lambda cell: None if cell.phase == SEARCH and peak(cell) == 0.3 else peak(cell))
    assert [(0.2, "done")] * 2 == confirmed(storage, row)
    first = findings(storage, STUDY.name).report
    assert "grid: search phase, 1 of 3 trials failed: net.py:3 in f: OSError: x" == first.incomplete[0]

    assert "planned again: 1 trial" in hpo(storage, "retry", STUDY.name)
    assert [(0.2, "withdrawn")] * 2 == confirmed(storage, row)
    assert ("grid: search phase, 1 of 3 trials not done yet",) == findings(storage, STUDY.name).report.unfinished

    run(storage, row, peak)
    assert [(0.2, "withdrawn")] * 2 + [(0.3, "done")] * 2 == confirmed(storage, row)
    report = findings(storage, STUDY.name).report
    assert ((), ()) == (report.incomplete, report.unfinished)
    (grid,) = report.arms
    assert ({"lr.peak": 0.3}, 2 * EPOCHS) == (grid.configuration, grid.confirm.epochs)
    assert grid.test is not None and (2, pytest.approx(0.3)) == (grid.test.n, grid.test.mean)
    progress = {arm.phase: arm for arm in storage.ledger.progress(row.id)}
    assert (2, 2 * EPOCHS, 2) == (progress[CONFIRM].done, progress[CONFIRM].epochs, progress[CONFIRM].seeds)


def test_the_retried_trial_changes_nothing(storage: Storage) -> None:
    """What was confirmed is restored with its results, and one that had failed as failed: nothing is trained twice."""
    row = begin_study(storage, STUDY)
    seeds = [STUDY.protocol.seed_of(CONFIRM, 1, index) for index in range(2)]

    def at_first(cell: Cell) -> float | None:
        fails = (cell.phase == SEARCH and peak(cell) == 0.1) or cell.seed == seeds[1]
        return None if fails else peak(cell)

    run(storage, row, at_first)
    assert [(0.3, "done"), (0.3, "failed")] == confirmed(storage, row)
    before = [cell for cell in storage.ledger.cells(row.id) if cell.phase == CONFIRM and cell.state == "done"]
    assert "planned again: 2 trials" in hpo(storage, "retry", STUDY.name)
    assert [(0.3, "withdrawn")] * 2 == confirmed(storage, row)
    run(storage, row, lambda cell: None if cell.seed == seeds[1] else peak(cell))
    assert [(0.3, "done"), (0.3, "failed")] == confirmed(storage, row)
    assert before == [cell for cell in storage.ledger.cells(row.id) if cell.id in {cell.id for cell in before}]


def test_a_confirm_trial_in_work_is_not_disturbed(storage: Storage) -> None:
    """A worker that holds one ends it; if it is the choice no more, it is withdrawn then."""
    row = begin_study(storage, STUDY)
    ledger = storage.ledger
    for cell in ledger.cells(row.id):
        lease = ledger.claim("w", 60.0)
        assert lease is not None
        if peak(cell) == 0.3:
            ledger.fail(lease, "", "x")
        else:
            ledger.finish(lease, "finished", peak(cell), accuracy(peak(cell)))
    advance(storage, row, STUDY)
    held = ledger.claim("w", 60.0)
    assert held is not None and (CONFIRM, 0.2) == (held.cell.phase, peak(held.cell))
    hpo(storage, "retry", STUDY.name)
    assert [(0.2, "leased"), (0.2, "withdrawn")] == confirmed(storage, row)
    ledger.finish(held, "finished", 0.2, accuracy(0.2) | {"test_accuracy": 0.2})
    assert {} == findings(storage, STUDY.name).report.arms[0].values["test_accuracy"]
    run(storage, row, peak)
    assert [(0.2, "withdrawn")] * 2 + [(0.3, "done")] * 2 == confirmed(storage, row)


def test_a_confirm_trial_that_had_begun_waits(storage: Storage, storage_url: str) -> None:
    """Nothing runs for ever in the dashboard: withdrawn its trial waits, restored it goes on."""
    row = begin_study(storage, STUDY)
    ledger, trials = storage.ledger, Trials(storage, STUDY)
    for cell in ledger.cells(row.id):
        lease = ledger.claim("w", 60.0)
        assert lease is not None
        if peak(cell) == 0.3:
            ledger.fail(lease, "", "x")
        else:
            ledger.finish(lease, "finished", peak(cell), accuracy(peak(cell)))
    advance(storage, row, STUDY)

    def begin() -> int:
        held = ledger.claim("w", 60.0)
        assert held is not None and CONFIRM == held.cell.phase
        trial, _ = trials.begin(held)
        ledger.release(held)
        return trial._trial_id

    def states() -> list[TrialState]:
        found = optuna.load_study(study_name=f"{STUDY.name}/grid/confirm", storage=storage_url)
        return [trial.state for trial in found.trials]

    begun = begin()
    assert [TrialState.RUNNING] == states()
    hpo(storage, "retry", STUDY.name)
    assert [(0.2, "withdrawn")] * 2 == confirmed(storage, row)
    assert [TrialState.WAITING] == states()
    assert ["digits/grid"] == [each.name for each in repair_study(storage, STUDY.name)]  # the search had no trials here
    assert [TrialState.WAITING] == states()
    lease = ledger.claim("w", 60.0)
    assert lease is not None
    ledger.finish(lease, "finished", 0.1, accuracy(0.1))  # 0.2 is still the best
    advance(storage, row, STUDY)
    assert [(0.2, "planned")] * 2 == confirmed(storage, row)
    assert [TrialState.RUNNING] == states()
    assert begun == begin()


def test_the_best_is_a_mean_over_seeds(storage: Storage) -> None:
    """In the confirm phase, and in a search with repeats: never the luckiest seed."""
    study = make_study({"grid": {"search": {"lr.peak": {"values": PEAKS}}}}, repeats=2, confirm={"top": 2, "seeds": 2})
    row = begin_study(storage, study)
    first = {study.protocol.seed_of(phase, 1, 0) for phase in (SEARCH, CONFIRM)}
    run(storage, row, lambda cell: 0.55 if peak(cell) == 0.1 and cell.seed in first else peak(cell), study)
    best = {arm.phase: (arm.best, arm.seeds) for arm in storage.ledger.progress(row.id)}
    assert {SEARCH: (pytest.approx(0.325), 2), CONFIRM: (pytest.approx(0.325), 2)} == best


def test_status_says_where_a_study_stands(storage: Storage) -> None:
    """Planned, waiting with one trial failed, stopped, finished: in words and in JSON, with why and what to do."""

    def told() -> tuple[str, list[str]]:
        (study,) = json.loads(hpo(storage, "status", "--json"))["studies"]
        return study["state"], [failed["reason"] for failed in study["failed"]]

    row = begin_study(storage, STUDY)
    assert ("planned", []) == told()
    lease = storage.ledger.claim("w", 60.0)
    assert lease is not None
    storage.ledger.fail(lease, "Traceback …", "net.py:3 in f: OSError: x")
    assert ("waiting for workers", ["net.py:3 in f: OSError: x"]) == told()
    hpo(storage, "stop", STUDY.name)
    assert ("stopped", ["net.py:3 in f: OSError: x"]) == told()
    hpo(storage, "resume", STUDY.name)
    run(storage, row, peak)
    said = hpo(storage, "status", STUDY.name)
    assert ("finished", ["net.py:3 in f: OSError: x"]) == told()
    assert "digits: finished" in said
    assert "failed: grid, search, trial" in said and "fix the cause, then: hpo retry digits" in said


def test_a_confirm_trial_let_go_while_the_search_is_open_is_withdrawn(storage: Storage) -> None:
    """By the next worker that plans, though it has planned this arm before: nobody trains what may not follow."""
    row = begin_study(storage, STUDY)
    ledger, seen = storage.ledger, dict[str, Hashable]()
    for cell in ledger.cells(row.id):
        lease = ledger.claim("w", 60.0)
        assert lease is not None
        if peak(cell) == 0.3:
            ledger.fail(lease, "", "x")
        else:
            ledger.finish(lease, "finished", peak(cell), accuracy(peak(cell)))
    advance(storage, row, STUDY, seen)
    held = ledger.claim("w", 60.0)
    assert held is not None
    retry_failed(storage, STUDY.name)
    advance(storage, row, STUDY, seen)
    assert [(0.2, "leased"), (0.2, "withdrawn")] == confirmed(storage, row)
    ledger.release(held)
    advance(storage, row, STUDY, seen)
    assert [(0.2, "withdrawn")] * 2 == confirmed(storage, row)
