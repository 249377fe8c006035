"""SQLite gives the ids of deleted rows again: who has read a study once does not take the next one for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import create_trial

from hpo.service import begin_study, delete_study
from hpo.storage import Storage, open_storage
from hpo.storage.optuna.storage import OptunaStorage
from tests.dashboard import Application
from tests.integration.helpers import make_study, wait_until, work_here

NAME = "digits/only"


@pytest.fixture
def elsewhere(sqlite_url: str) -> Iterator[Storage]:
    """Where studies are launched, run and deleted."""
    opened = open_storage(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def living(sqlite_url: str) -> Iterator[Storage]:
    """That of another process, which lives on."""
    opened = open_storage(sqlite_url)
    yield opened
    opened.close()


def run(storage: Storage, path: str, values: list[float]) -> int:
    """A study of one arm, run to its end; returns Optuna's id of it."""
    begin_study(storage, make_study({"only": {"search": {path: {"values": values}}}}, trial={"epochs": 1}))
    work_here(storage)
    return storage.optuna.get_study_id_from_name(NAME)


def tried(optuna_storage: OptunaStorage, study_id: int) -> list[dict[str, Any]]:
    return [trial.params for trial in optuna_storage.get_all_trials(study_id)]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_launched_again_under_a_living_storage(elsewhere: Storage, living: Storage, more: int) -> None:
    """With fewer, as many and more trials: it has those of the new study, all of them and no other."""
    study_id = run(elsewhere, "lr.peak", [0.05, 0.1])
    assert [{"lr.peak": 0.05}, {"lr.peak": 0.1}] == tried(living.optuna, study_id)
    [first, _] = living.optuna.get_all_trials(study_id)
    delete_study(elsewhere, "digits")
    values = [0.0, 0.3, 0.6][: 2 + more]
    assert study_id == run(elsewhere, "optimizer.momentum", values), "SQLite has not given the id again"
    assert [{"optimizer.momentum": value} for value in values] == tried(living.optuna, study_id)
    again = living.optuna.get_trial(first._trial_id)
    assert {"optimizer.momentum": 0.0} == again.params
    assert living.optuna.get_best_trial(study_id).params.keys() == {"optimizer.momentum"}


def test_deleted_under_a_living_storage(elsewhere: Storage, living: Storage) -> None:
    """It is not there, as for one who has never seen it."""
    study_id = run(elsewhere, "lr.peak", [0.05])
    assert 1 == len(tried(living.optuna, study_id))
    delete_study(elsewhere, "digits")
    for ask in (living.optuna.get_all_trials, living.optuna.get_study_name_from_id, living.optuna.get_study_directions):
        with pytest.raises(KeyError):
            ask(study_id)


def test_a_study_that_is_not_ours(elsewhere: Storage, living: Storage) -> None:
    """Another tool's, made again under the same name, has the same id, and the storage sees that it is another."""

    def make(direction: StudyDirection, value: float) -> int:
        study = optuna.create_study(study_name="theirs", storage=elsewhere.optuna, direction=direction)
        study.add_trials([create_trial(value=value), create_trial(value=value)])
        return study._study_id

    def seen() -> list[float | None]:
        return [trial.value for trial in living.optuna.get_all_trials(study_id)]

    study_id = make(StudyDirection.MAXIMIZE, 1.0)
    assert [1.0, 1.0] == seen()
    optuna.delete_study(study_name="theirs", storage=elsewhere.optuna)
    assert study_id == make(StudyDirection.MINIMIZE, 2.0)
    assert [2.0, 2.0] == seen()
    assert [StudyDirection.MINIMIZE] == living.optuna.get_study_directions(study_id)


def test_under_a_living_dashboard(elsewhere: Storage, living: Storage) -> None:
    """It shows the trials of the new study, and nothing that only the old one had."""
    dashboard = Application(living)
    study_id = run(elsewhere, "lr.peak", [0.05, 0.1])

    def shown() -> tuple[list[str], list[str]]:
        study = dashboard.ask(f"/api/studies/{study_id}").json
        searched = [each["name"] for each in study["union_search_space"]]
        return searched, [each["name"] for trial in study["trials"] for each in trial["params"]]

    assert (["lr.peak"], ["lr.peak"] * 2) == shown()
    delete_study(elsewhere, "digits")
    assert study_id == run(elsewhere, "optimizer.momentum", [0.0, 0.3, 0.6])
    # The dashboard's own pause between two looks at the database is two seconds.
    wait_until(lambda: shown() == (["optimizer.momentum"], ["optimizer.momentum"] * 3))
