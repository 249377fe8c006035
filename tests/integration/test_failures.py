"""Trials that fail, diverge, or take their worker with them: the study goes on, and says what happened."""

from __future__ import annotations

from click.testing import CliRunner
from optuna.trial import TrialState
from sqlalchemy import update

from hpo.cli import cli
from hpo.service import begin_study, is_done
from hpo.storage import Storage
from hpo.storage.optuna.trials import Trials
from hpo.storage.rows import Cell, StudyRow
from hpo.storage.tables import study as study_table
from tests.integration.helpers import Crew, make_study, optuna_trials, the_cell, work_here

ONE_VALUE = {"search": {"lr.peak": {"values": [0.05]}}}
BROKEN = {"bad": ONE_VALUE | {"trial": {"gradient_norms": ["no.such.layer"]}}, "good": ONE_VALUE}


def by_arm(storage: Storage, row: StudyRow) -> dict[str, Cell]:
    return {cell.arm: cell for cell in storage.ledger.cells(row.id)}


def test_a_trial_that_raises_each_time(storage: Storage, postgres_url: str) -> None:
    """It is tried `attempts` times, then failed with its traceback, here and in Optuna; the other arm is done."""
    study = make_study(BROKEN, attempts=2)
    row = begin_study(storage, study)
    work_here(storage)
    bad, good = by_arm(storage, row)["bad"], by_arm(storage, row)["good"]
    assert ("failed", 2, 0, None) == (bad.state, bad.claims, bad.epochs, bad.ended)
    assert "Traceback" in str(bad.error) and "no parameter 'no.such.layer'" in str(bad.error)
    assert ("done", 1, None) == (good.state, good.claims, good.error)
    states = {trial.user_attrs["cell"]: trial.state for trial in optuna_trials(postgres_url, study)}
    assert {bad.id: TrialState.FAIL, good.id: TrialState.COMPLETE} == states
    assert is_done(storage, row, study)


def test_failed_trials_tried_again(storage: Storage, postgres_url: str) -> None:
    """`hpo retry` plans them again with all their attempts, each time as a new trial of Optuna's."""
    study = make_study(BROKEN, attempts=2)
    row = begin_study(storage, study)
    work_here(storage)
    good = by_arm(storage, row)["good"]
    answer = CliRunner().invoke(cli, ["retry", study.name], env={"HPO_STORAGE": postgres_url})
    assert (0, "planned again: 1 trial\nto go on: hpo worker digits\n") == (answer.exit_code, answer.stderr)
    assert ("planned", 0) == (by_arm(storage, row)["bad"].state, by_arm(storage, row)["bad"].attempts)

    work_here(storage)
    assert ("failed", 4) == (by_arm(storage, row)["bad"].state, by_arm(storage, row)["bad"].claims)
    assert good == by_arm(storage, row)["good"]
    states = [trial.state for trial in optuna_trials(postgres_url, study)]
    assert [TrialState.FAIL, TrialState.FAIL, TrialState.COMPLETE] == states


def test_a_trial_that_takes_its_workers_with_it(storage: Storage, postgres_url: str) -> None:
    """A cell whose workers vanish one after the other is set aside with the reason, and its trial failed."""
    study = make_study(attempts=3)
    row = begin_study(storage, study)
    trials = Trials(storage, study)
    for _ in range(3):
        lease = storage.ledger.claim("vanished", -1.0)
        assert lease is not None
        trials.begin(lease)
    work_here(storage)
    cell = the_cell(storage, row)
    assert ("failed", 4) == (cell.state, cell.claims)
    assert "3 workers in a row disappeared before they finished an epoch" == cell.error
    (trial,) = optuna_trials(postgres_url, study)
    assert (TrialState.FAIL, cell.trial_id) == (trial.state, trial._trial_id)


def test_a_trial_that_diverges(storage: Storage, postgres_url: str) -> None:
    """It is no failure but a bad result: done, with the score of guessing, which Optuna learns as its value."""
    study = make_study({"only": {"search": {"lr.peak": {"values": [1e6]}}}}, trial={"regularizers": {}})
    row = begin_study(storage, study)
    work_here(storage)
    cell = the_cell(storage, row)
    assert ("done", "diverged", 0.1, 1) == (cell.state, cell.ended, cell.score, cell.claims)
    (trial,) = optuna_trials(postgres_url, study)
    assert (TrialState.COMPLETE, 0.1) == (trial.state, trial.value)
    assert {0.1} == set(trial.intermediate_values.values())
    assert is_done(storage, row, study)


def test_other_images(storage: Storage, crew: Crew) -> None:
    """A worker whose images differ from those that the study started with says so, exits 2, and gives the cell back."""
    study = make_study()
    row = begin_study(storage, study)
    with storage.engine.begin() as connection:
        connection.execute(update(study_table).values(data="of other images"))
    (worker,) = crew.start(1, study.name)
    assert 2 == worker.process.wait(60.0)
    errors = [line for line in crew.said().splitlines() if line.startswith("error: ")]
    assert ["error: the digits images on this machine differ from those that the study started with"] == errors
    assert "Traceback" not in crew.said()
    cell = the_cell(storage, row)
    assert ("planned", 0) == (cell.state, cell.attempts)
    assert "differ from those that the study started with" in str(cell.reason)
