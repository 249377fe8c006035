"""A study and its Optuna studies begin and end as one: interrupted anywhere, all of it is there, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner
from psycopg2 import OperationalError
from sqlalchemy import Engine, event, func, select, text

from hpo.cli import cli
from hpo.errors import StudyError
from hpo.optuna_private import ALL_TABLES
from hpo.service import begin_study, delete_study
from hpo.storage import Storage, open_storage, tables
from hpo.storage.connection.retry import Retry
from tests.integration.helpers import make_study, work_here

ARMS = {
    "tpe": {
        "sampler": {"kind": "tpe", "startup": 2},
        "search": {"lr.peak": {"low": 1e-3, "high": 0.5, "log": True}, "optimizer.momentum": {"low": 0.0, "high": 0.9}},
        "budget": {"trials": 8},
    },
    "grid": {"search": {"lr.peak": {"values": [0.05, 0.1]}}},
}
STUDY = make_study(ARMS, trial={"epochs": 1, "data": {"train_limit": 100}}, confirm={"top": 1, "seeds": 2})
NAMES = {"digits/tpe", "digits/tpe/confirm", "digits/grid", "digits/grid/confirm"}
EVERY_TABLE = [*tables.metadata.sorted_tables, *ALL_TABLES]


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    opened = open_storage(storage_url)
    yield opened
    opened.close()


def rows(storage: Storage) -> dict[str, int]:
    """How many rows each table has, our own and Optuna's, that has any."""
    with storage.engine.connect() as connection:
        counts = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in EVERY_TABLE
        }
    return {name: count for name, count in counts.items() if count and name not in ("hpo_version", "version_info")}


class Interrupted(Exception):
    """Stands for whatever may end a process between two statements."""


@contextmanager
def interrupted(engine: Engine, at: int, cut: bool) -> Iterator[list[str]]:
    """Nothing comes through from statement number `at` on: an exception before it, or a connection that is closed."""
    sent: list[str] = []

    def count(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        sent.append(statement)
        if len(sent) <= at:
            return
        if cut:
            connection.connection.dbapi_connection.close()
        else:
            raise Interrupted

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", count)


def broken_off(storage: Storage, at: int, cut: bool, verb: Callable[[], object]) -> bool:
    """Whether `verb` came to statement number `at`, and was broken off there."""
    with interrupted(storage.engine, at, cut) as sent:
        try:
            verb()
        except Exception:
            if len(sent) <= at:
                raise
            return True
    assert len(sent) <= at
    return False


@pytest.mark.parametrize("cut", [False, True], ids=["raised", "cut"])
def test_interrupted_anywhere(storage: Storage, cut: bool) -> None:
    """Launched and deleted, each broken off before every one of its statements; then done again."""
    if cut and storage.engine.dialect.name == "sqlite":
        pytest.skip("a file has no connection that could be cut")
    nothing = rows(storage)
    begin_study(storage, STUDY)
    whole = rows(storage)
    assert NAMES == {study.study_name for study in storage.optuna.get_all_studies()}
    assert whole["studies"] == whole["study_user_attributes"] == whole["study_system_attributes"] == 4
    delete_study(storage, STUDY.name)
    assert {} == nothing == rows(storage)

    at = 0
    while broken_off(storage, at, cut, lambda: begin_study(storage, STUDY)):
        found = rows(storage)
        assert found in (nothing, whole), at
        if found == whole:
            delete_study(storage, STUDY.name)
        at += 1
    assert at > 6
    assert whole == rows(storage)

    at = 0
    while broken_off(storage, at, cut, lambda: delete_study(storage, STUDY.name)):
        found = rows(storage)
        assert found in (nothing, whole), at
        if found == nothing:
            begin_study(storage, STUDY)
        at += 1
    assert at > 10
    assert nothing == rows(storage)


def test_the_answer_was_lost(postgres_url: str) -> None:
    """A launch that is repeated finds what it has made; a deletion that is repeated has nothing to do."""
    storage = open_storage(postgres_url, Retry(30.0))
    commit, arrives = storage.engine.dialect.do_commit, iter([False, True, False, True])

    def commit_and_lose_the_answer(connection: Any) -> None:
        commit(connection)
        if not next(arrives):
            raise OperationalError("the answer was lost")

    storage.engine.dialect.do_commit = commit_and_lose_the_answer  # type: ignore[method-assign]
    assert "running" == begin_study(storage, STUDY).state
    assert NAMES == {study.study_name for study in storage.optuna.get_all_studies()}
    delete_study(storage, STUDY.name)
    assert {} == rows(storage)
    assert None is next(arrives, None)
    storage.close()


def proposals(storage: Storage) -> list[dict[str, Any] | None]:
    """The study run by one worker: what was proposed."""
    row = begin_study(storage, STUDY)
    work_here(storage)
    return [cell.params for cell in storage.ledger.cells(row.id) if (cell.arm, cell.phase) == ("tpe", "search")]


def test_relaunched_after_an_interrupted_deletion(storage: Storage) -> None:
    """It begins anew: its sampler proposes what it does in a clean database, by a process that knew the study."""
    clean = proposals(storage)
    assert 8 == len(clean)
    assert broken_off(storage, 6, False, lambda: delete_study(storage, STUDY.name))
    assert 8 == len(optuna.load_study(study_name="digits/tpe", storage=storage.optuna).trials)
    delete_study(storage, STUDY.name)
    assert clean == proposals(storage)


STUDY_FILE = """
name = "tiny"
[trial]
epochs = 1
batch_size = 32
data = { kind = "digits", validation = 0.2, train_limit = 100 }
model = { kind = "mlp", hidden = [8] }
optimizer = { kind = "sgd" }
lr = { kind = "constant", peak = 0.1 }
[protocol]
budget = { trials = 4 }
[arms.tpe]
sampler = { kind = "tpe" }
search."lr.peak" = { low = 0.01, high = 0.5 }
"""


def test_an_optuna_study_of_that_name(storage: Storage, storage_url: str, tmp_path: Path) -> None:
    """Another's is refused by name, with what to do, and nothing is written; without it the same launch succeeds."""
    theirs = optuna.create_study(study_name="tiny/tpe", storage=storage.optuna, direction="maximize")
    distributions = {"lr.peak": optuna.distributions.FloatDistribution(0.01, 0.5)}
    for number in range(12):
        params = {"lr.peak": 0.3 + number / 100}
        theirs.add_trial(optuna.create_trial(params=params, distributions=distributions, value=0.99))
    before = rows(storage)
    file = tmp_path / "tiny.toml"
    file.write_text(STUDY_FILE)
    launch = ["launch-study", str(file), "--workers", "0"]
    answer = CliRunner().invoke(cli, launch, env={"HPO_STORAGE": storage_url})
    assert 2 == answer.exit_code
    assert (
        "tiny/tpe: there is already an Optuna study of this name that hpo did not create (12 trials)" in answer.stderr
    )
    assert "--name" in answer.stderr
    assert "optuna delete-study --study-name tiny/tpe" in answer.stderr
    assert before == rows(storage)
    optuna.delete_study(study_name="tiny/tpe", storage=storage.optuna)
    assert 0 == CliRunner().invoke(cli, launch, env={"HPO_STORAGE": storage_url}).exit_code


@pytest.mark.parametrize(
    "change",
    [
        "update study_user_attributes set value_json = '\"0123\"'",  # another study's mark
        "delete from study_user_attributes",
        "update study_directions set direction = 'MINIMIZE'",
    ],
)
def test_ours_is_known_by_its_mark(storage: Storage, change: str) -> None:
    """Whatever took the place of ours is not taken for it when the study is launched again."""
    begin_study(storage, STUDY)
    with storage.engine.begin() as connection:
        connection.execute(text(change))
    before = rows(storage)
    with pytest.raises(
        StudyError, match="digits/tpe: there is already an Optuna study of this name that hpo did not create"
    ):
        begin_study(storage, STUDY)
    assert before == rows(storage)
