"""What another tool removes of a study on Optuna's side is made again from the ledger, and the study goes on."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import optuna
import optuna.cli
import pytest
from click.testing import CliRunner
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text

from hpo.cli import cli
from hpo.errors import StudyError
from hpo.service import begin_study, repair_study
from hpo.storage import Storage, create_storage, open_storage
from hpo.storage.optuna.trials import Trials
from hpo.storage.rows import Lease, StudyRow
from hpo.study import StudySpec
from hpo.trainers.trainer import Evaluation
from tests.dashboard import Application
from tests.integration.gate import Gate
from tests.integration.helpers import Crew, check_study, holder_after, make_study, optuna_trials, wait_until, work_here

SEARCH = {
    "lr.peak": {"low": 1e-3, "high": 1e4, "log": True},  # so that some diverge
    "regularizers.l2.policy": {"values": {"hold": {"kind": "hold"}, "gap": {"kind": "accuracy_gap"}}},
}
STUDY = make_study(
    {
        "tpe": {"sampler": {"kind": "tpe", "startup": 2}, "search": SEARCH},
        "random": {"sampler": {"kind": "random"}, "search": SEARCH},
    },
    trial={"epochs": 4, "data": {"train_limit": 100}},
    budget={"trials": 8},
    pruner={"kind": "median", "startup": 2},
    confirm={"top": 1, "seeds": 2},
)
MEDIAN = {"kind": "median", "startup": 0}
ONE_ARM = make_study({"arm": {"search": {"lr.peak": {"values": [0.05, 0.1]}}, "pruner": MEDIAN}})


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    opened = open_storage(storage_url)
    yield opened
    opened.close()


@pytest.fixture
def dashboard(storage_url: str) -> Iterator[Application]:
    """A dashboard on the same database, with connections of its own."""
    opened = open_storage(storage_url)
    yield Application(opened)
    opened.close()


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A study as one worker has run it that nobody disturbed."""

    params: list[tuple[str, str, int, Any]]
    trials: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The same study in a database of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('undisturbed')}/hpo.db"
    create_storage(url).close()
    opened = open_storage(url)
    row = begin_study(opened, STUDY)
    work_here(opened)
    run = Undisturbed(params(opened, row), told(url))
    opened.close()
    return run


def params(storage: Storage, row: StudyRow) -> list[tuple[str, str, int, Any]]:
    """What was tried, cell by cell."""
    return [(cell.arm, cell.phase, cell.slot, cell.params) for cell in storage.ledger.cells(row.id)]


def told(url: str, study: StudySpec = STUDY) -> list[tuple[Any, ...]]:
    """All that Optuna has been told of the trials, but for times and what samplers and pruners note."""
    return [
        (
            trial.number,
            trial.state,
            trial.values,
            trial.params,
            trial.distributions,
            trial.user_attrs,
            trial.intermediate_values,
        )
        for trial in optuna_trials(url, study)
    ]


def check_links(storage: Storage, url: str, study: StudySpec) -> None:
    """Every cell is done, and has one trial, which it knows by its id and number."""
    row = storage.ledger.study(study.name)
    cells = storage.ledger.cells(row.id)
    assert {"done"} == {cell.state for cell in cells}
    trials = {trial.user_attrs["cell"]: trial for trial in optuna_trials(url, study)}
    assert len(cells) == len(trials) == len(optuna_trials(url, study))
    links = [(cell.trial_id, cell.trial_number) for cell in cells]
    assert links == [(trials[cell.id]._trial_id, trials[cell.id].number) for cell in cells]


def delete(dashboard: Application, name: str) -> None:
    """As the button in the dashboard does."""
    assert 204 == dashboard.ask(f"/api/studies/{dashboard.study_id(name)}", "DELETE", {}).status


def rename(dashboard: Application, name: str, new: str) -> None:
    """As the dashboard does: a copy under the new name, and the old one deleted."""
    path = f"/api/studies/{dashboard.study_id(name)}/rename"
    assert 201 == dashboard.ask(path, "POST", {"study_name": new}).status


def at_claim(storage: Storage, monkeypatch: pytest.MonkeyPatch, disturb: dict[int, Callable[[], None]]) -> None:
    """Do something just before the worker of this process claims for the n-th time."""
    claim, number = storage.ledger.claim, count(1)

    def disturbed(*arguments: Any, **options: Any) -> Lease | None:
        disturb.get(next(number), lambda: None)()
        return claim(*arguments, **options)

    monkeypatch.setattr(storage.ledger, "claim", disturbed)


def test_deleted_and_renamed_in_the_dashboard(
    storage: Storage,
    storage_url: str,
    dashboard: Application,
    undisturbed: Undisturbed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Between two trials: nothing that follows differs from a study that nobody disturbed, and the log says it."""
    row = begin_study(storage, STUDY)
    disturb: dict[int, Callable[[], None]] = {
        7: lambda: delete(dashboard, "digits/tpe"),
        12: lambda: rename(dashboard, "digits/random", "mine"),
        18: lambda: delete(dashboard, "digits/tpe/confirm"),
    }
    at_claim(storage, monkeypatch, disturb)
    work_here(storage)
    assert undisturbed.params == params(storage, row)
    assert undisturbed.trials == told(storage_url)
    check_links(storage, storage_url, STUDY)
    said = [record.getMessage() for record in caplog.records if "was missing" in record.getMessage()]
    assert "the Optuna study digits/tpe was missing: created again with 3 trials" == said[0]
    assert "the Optuna study digits/random was missing: created again with 5 trials" == said[1]
    assert "attempt" not in caplog.text
    copied = optuna.load_study(study_name="mine", storage=storage_url)
    assert 5 == len(copied.trials)


def test_repaired_by_command(storage: Storage, storage_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`optuna delete-study` of all of a finished study: `hpo repair` gives back every trial, and then finds nothing."""
    begin_study(storage, STUDY)
    work_here(storage)
    before, names = told(storage_url), [study.study_name for study in storage.optuna.get_all_studies()]
    assert {TrialState.PRUNED, TrialState.COMPLETE} == {trial[1] for trial in before}
    assert 0.1 in [(trial[2] or [None])[0] for trial in before], "none has diverged, which counts as guessing"
    monkeypatch.setattr(logging.root, "handlers", [])  # the command adds one
    for name in names:
        monkeypatch.setattr(sys, "argv", ["optuna", "delete-study", "--study-name", name, "--storage", storage_url])
        assert 0 == optuna.cli.main()
    assert [] == told(storage_url)

    def repair() -> str:
        answer = CliRunner().invoke(cli, ["repair", STUDY.name], env={"HPO_STORAGE": storage_url})
        assert 0 == answer.exit_code, answer.output
        return answer.stderr

    lines = repair().splitlines()
    assert "the Optuna study digits/tpe was missing: created again with 8 trials" == lines[0]
    assert 4 == len(lines)
    assert before == told(storage_url)
    check_links(storage, storage_url, STUDY)
    assert "nothing to repair\n" == repair()
    assert ["validation accuracy"] == optuna.load_study(study_name=names[0], storage=storage_url).metric_names


def begun(storage: Storage, url: str, study: StudySpec = ONE_ARM) -> tuple[Trials, Lease]:
    """A study whose first cell is done and whose second one is leased, with two epochs."""
    begin_study(storage, study)
    trials = Trials(storage, study)
    for accuracy in (0.9, 0.1):
        lease = storage.ledger.claim("w", 60.0)
        assert lease is not None
        trial, _ = trials.begin(lease)
        for epoch in (1, 2):
            trial.report(accuracy, epoch)
            storage.ledger.record(lease, [evaluation(epoch, accuracy)], 60.0, None, trials.changes(trial))
        if accuracy == 0.9:
            finish(storage, trials, lease, trial)
    return trials, lease


def evaluation(epoch: int, accuracy: float) -> Evaluation:
    return Evaluation(epoch, 2.0, {"validation_loss": 0.5, "validation_accuracy": accuracy})


def finish(storage: Storage, trials: Trials, lease: Lease, trial: optuna.Trial, epochs: int = 3) -> None:
    last = evaluation(epochs, 0.7)
    trial.report(0.7, epochs)
    also = trials.tell(trial, trials.pruner(lease.cell), "finished", epochs, epochs, 0.7)
    if not storage.ledger.finish(lease, "finished", 0.7, last.metrics, also, [last]):
        trials.heal_if_possible(lease)


def the_trial(url: str, lease: Lease) -> FrozenTrial:
    [trial] = [trial for trial in optuna_trials(url, ONE_ARM) if trial.user_attrs["cell"] == lease.cell.id]
    return trial


def test_in_the_middle_of_a_trial(storage: Storage, storage_url: str) -> None:
    """The pruner's next look finds it out: it judges by all trials, as before, and the trial goes on."""
    trials, lease = begun(storage, storage_url)
    trial, _ = trials.begin(lease)
    optuna.delete_study(study_name="digits/arm", storage=storage_url)
    # Someone else's, which SQLite gives the ids of ours.
    theirs = optuna.create_study(study_name="theirs", storage=storage_url, direction="minimize")
    asked = [theirs.ask() for _ in range(2)]
    trial.report(0.1, 3)
    question = trials.prefetch_query(trial)
    _, answer = storage.ledger.record(lease, [evaluation(3, 0.1)], 60.0, None, trials.changes(trial), None, question)
    assert trials.should_prune(trial, answer if question else None)
    finish(storage, trials, lease, trial, 4)
    assert {1: 0.1, 2: 0.1, 3: 0.1, 4: 0.7} == the_trial(storage_url, lease).intermediate_values
    check_links(storage, storage_url, ONE_ARM)
    for each in asked:
        found = theirs.trials[each.number]
        assert (TrialState.RUNNING, {}, {}) == (found.state, found.intermediate_values, found.user_attrs)


def test_at_the_end_of_a_trial(storage: Storage, storage_url: str) -> None:
    """One that nobody has looked at since: its trial is there when the cell is done."""
    trials, lease = begun(storage, storage_url)
    trial, _ = trials.begin(lease)
    optuna.delete_study(study_name="digits/arm", storage=storage_url)
    finish(storage, trials, lease, trial)
    assert {1: 0.1, 2: 0.1, 3: 0.7} == the_trial(storage_url, lease).intermediate_values
    check_links(storage, storage_url, ONE_ARM)
    assert [] == repair_study(storage, ONE_ARM.name)


@pytest.mark.parametrize("removed", ["deleted", "ended", "unmarked", "swapped"])
def test_one_trial_is_missing(storage: Storage, storage_url: str, removed: str) -> None:
    """Of a cell that is claimed again: it has one again, with all that the ledger knows."""
    trials, lease = begun(storage, storage_url)
    known = the_trial(storage_url, lease)
    if removed == "ended":  # by a button of the dashboard
        optuna.load_study(study_name="digits/arm", storage=storage_url).tell(known.number, state=TrialState.FAIL)
    else:
        statements = {
            "deleted": "delete from {table} where trial_id = :trial",
            "unmarked": "delete from trial_user_attributes where trial_id = :trial",
            "swapped": "update trial_user_attributes set value_json = '77' where key = 'cell' and trial_id = :trial",
        }
        children = ("user_attributes", "params", "values", "intermediate_values")
        tables = [*(f"trial_{name}" for name in children), "trials"] if removed == "deleted" else [""]
        with storage.engine.begin() as connection:
            for table in tables:
                connection.execute(text(statements[removed].format(table=table)), {"trial": known._trial_id})
    storage.ledger.release(lease)
    again = storage.ledger.claim("other", 60.0)
    assert again is not None and again.cell.id == lease.cell.id
    trial, its_params = trials.begin(again)
    assert lease.cell.params == its_params == trial.params
    finish(storage, trials, again, trial)
    ours = [each for each in optuna_trials(storage_url, ONE_ARM) if each.state is TrialState.COMPLETE]
    found = next(each for each in ours if each.user_attrs["cell"] == lease.cell.id)
    assert {1: 0.1, 2: 0.1, 3: 0.7} == found.intermediate_values
    assert (removed == "deleted") == (found._trial_id == known._trial_id)
    assert len({each.number for each in optuna_trials(storage_url, ONE_ARM)}) == 2 + (removed != "deleted")
    assert [] == repair_study(storage, ONE_ARM.name)


def test_failed_and_withdrawn_cells(storage: Storage, storage_url: str) -> None:
    """They keep their trials as they are, and get the same again: one that has failed, one that nothing needs now."""
    trials, lease = begun(storage, storage_url)
    storage.ledger.fail(lease, "error", "error", trials.failure(lease))
    with storage.engine.begin() as connection:
        connection.execute(text("update hpo_cell set state = 'withdrawn' where state = 'done'"))
    before = told(storage_url, ONE_ARM)
    assert [TrialState.COMPLETE, TrialState.FAIL] == [trial[1] for trial in before]
    assert [] == repair_study(storage, ONE_ARM.name)
    optuna.delete_study(study_name="digits/arm", storage=storage_url)
    [repaired] = repair_study(storage, ONE_ARM.name)
    assert 2 == repaired.written
    assert before == told(storage_url, ONE_ARM)


def test_renamed_and_back(storage: Storage, storage_url: str, dashboard: Application) -> None:
    """The trials are the same under other ids: nothing is written twice."""
    begun(storage, storage_url)
    before = told(storage_url, ONE_ARM)
    rename(dashboard, "digits/arm", "mine")
    rename(dashboard, "mine", "digits/arm")
    [repaired] = repair_study(storage, ONE_ARM.name)
    assert (False, 0, 2) == (repaired.was_missing, repaired.written, repaired.found)
    assert "trials of the Optuna study digits/arm were missing: 2 found under another id" == str(repaired)
    assert before == told(storage_url, ONE_ARM)


def test_another_study_in_its_place(storage: Storage, storage_url: str) -> None:
    """It is not worked in, and not touched: a worker learns what to do."""
    trials, lease = begun(storage, storage_url)
    optuna.delete_study(study_name="digits/arm", storage=storage_url)
    optuna.create_study(study_name="digits/arm", storage=storage_url, direction="maximize")
    with pytest.raises(
        StudyError, match="digits/arm: there is already an Optuna study of this name that hpo did not create"
    ):
        trials.begin(lease)
    assert [] == optuna.load_study(study_name="digits/arm", storage=storage_url).trials


def test_under_two_workers(postgres_url: str, crew: Crew, gate: Gate) -> None:
    """Deleted while both are in the middle of a trial of it: each cell is done, by one trial, without a traceback."""
    values = {"values": [0.01, 0.02, 0.05, 0.1]}
    study = make_study(
        {"arm": {"search": {"lr.peak": values}, "pruner": {"kind": "median", "startup": 1, "every": 2}}},
        trial=gate.trial | {"epochs": 6},
    )
    storage = open_storage(postgres_url)
    row = begin_study(storage, study)
    crew.start(2)
    holder_after(storage, crew, row, epochs=1)

    def deleted() -> bool:
        # Optuna gives up without a word when a trial of it is written to at the same moment.
        optuna.delete_study(study_name="digits/arm", storage=postgres_url)
        return "digits/arm" not in optuna.get_all_study_names(storage=postgres_url)

    wait_until(deleted)
    gate.open()
    cells = check_study(postgres_url, study.name, crew)
    check_links(storage, postgres_url, study)
    assert {1} == {cell.claims for cell in cells}
    assert "the Optuna study digits/arm was missing: created again" in crew.said()
    storage.close()
