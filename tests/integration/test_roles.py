"""The database roles of deploy/postgres/roles.sql: each can do its work, and nothing beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import optuna
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select, text
from sqlalchemy.exc import ProgrammingError

from hpo.cli import cli
from hpo.errors import HpoError, StudyError
from hpo.service import begin_study, delete_study
from hpo.storage import create_storage, open_storage
from hpo.storage.optuna.repair import repair
from hpo.storage.optuna.trials import Trials
from hpo.storage.rows import Cell
from hpo.storage.tables import fork, part
from hpo.worker import Worker, WorkerOptions
from tests.conftest import start_postgres
from tests.dashboard import running_dashboard
from tests.integration.helpers import Crew, check_study, make_study, wait_until
from tests.postgres import PostgresServer

ROLES = Path(__file__).parents[2] / "deploy" / "postgres" / "roles.sql"
NAMES = ("hpo_worker", "hpo_dashboard", "hpo_editor")
PASSWORD = "sesame-open"
RANGES = {
    "lr.peak": {"low": 0.01, "high": 0.1, "log": True},
    "regularizers.l2.strength": {"low": 1e-4, "high": 1e-1, "log": True},
}
FADING = {"kind": "replay", "strengths": [1e-3, 1e-3, 1e-4]}


def sampled(sampler: str, pruner: dict[str, Any]) -> dict[str, Any]:
    """An arm of four trials."""
    return {"sampler": {"kind": sampler}, "search": RANGES, "pruner": pruner, "budget": {"trials": 4}}


# Every sampler, every pruner that keeps notes, trials that begin alike, checkpoints in parts, one that diverges.
LARGE = {"model": {"hidden": [512]}}
ARMS: dict[str, Any] = {
    "hold": {"search": {"lr.peak": {"values": [0.03, 1e6]}}, "trial": LARGE},
    "fade": {"search": {"lr.peak": {"values": [0.03]}}, "trial": LARGE | {"regularizers": {"l2": {"policy": FADING}}}},
    "random": sampled("random", {"kind": "successive_halving", "reduction": 2}),
    "tpe": sampled("tpe", {"kind": "hyperband", "reduction": 2}),
    "gp": sampled("gp", {"kind": "none"}) | {"sampler": {"kind": "gp", "startup": 2}},
    "cmaes": sampled("cmaes", {"kind": "wilcoxon"}),
    "qmc": sampled("qmc", {"kind": "patient", "patience": 0, "wrapped": {"kind": "median", "startup": 1}}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server with the tables and the roles, each with a password."""
    server = start_postgres()
    server.execute("create database shared")
    create_storage(server.url("shared")).close()
    for _ in range(2):  # the file says that running it again is safe
        server.execute(ROLES.read_text(), "shared")
    for role in NAMES:
        server.execute(f"alter role {role} password '{PASSWORD}'")
    yield server
    server.remove()


@pytest.fixture(scope="module")
def planned(server: PostgresServer) -> int:
    """The study, as its owner has launched it."""
    storage = create_storage(server.url("shared"))
    holding = {"regularizers": {"l2": {"policy": {"kind": "hold"}}}}
    protocol = {"confirm": {"top": 1, "seeds": 1}, "audit": 1, "share_prefixes": True}
    row = begin_study(storage, make_study(ARMS, trial=holding, **protocol))
    storage.close()
    return row.id


def url(server: PostgresServer, role: str) -> str:
    """The storage URL of one of the roles."""
    return f"postgresql+psycopg2://{role}:{PASSWORD}@127.0.0.1:{server.port}/shared"


def ask(server: PostgresServer, role: str, *words: str) -> Result:
    """An `hpo` command of one of the roles."""
    return CliRunner().invoke(cli, words, env={"HPO_STORAGE": url(server, role)})


@pytest.fixture(scope="module")
def trained(server: PostgresServer, planned: int, tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    """The cells of the study after a worker in this process, which saves each epoch, has done it."""
    storage = open_storage(url(server, "hpo_worker"))
    Worker(storage, [], WorkerOptions(device="cpu", checkpoint_seconds=0.0), Event()).run()
    storage.close()
    return check_study(server.url("shared"), "digits", Crew("", tmp_path_factory.mktemp("nobody")))


def test_a_worker_needs_no_more_than_its_role(server: PostgresServer, trained: list[Cell]) -> None:
    """A study that uses all there is to use is trained to its end, and nothing is left that was kept for it."""
    assert {"search", "confirm", "audit"} == {cell.phase for cell in trained}
    assert {"finished", "pruned", "diverged"} == {cell.ended for cell in trained}
    assert any(cell.leader_epochs for cell in trained)
    storage = open_storage(url(server, "hpo_worker"))
    with storage.engine.connect() as connection:
        for table in (fork, part):
            assert 0 == connection.execute(select(func.count()).select_from(table)).scalar()
    storage.close()
    # A part that can't be written costs the checkpoint alone, so ask whether there were some.
    written = "select n_tup_ins > 0 from pg_stat_user_tables where relname = 'hpo_part'"
    assert wait_until(lambda: server.execute(written, "shared") == [(True,)])


def test_a_study_that_fails(server: PostgresServer) -> None:
    """A worker may say so, with the reason."""
    owner, storage = open_storage(server.url("shared")), open_storage(url(server, "hpo_worker"))
    trial = {"gradient_norms": ["no.such.layer"]}
    arms = {"grid": {"search": {"lr.peak": {"values": [0.01, 0.02, 0.03, 0.04]}}}}
    begin_study(owner, make_study(arms, "hopeless", trial, attempts=1))
    with suppress(HpoError):
        Worker(storage, ["hopeless"], WorkerOptions(device="cpu"), Event()).run()
    assert "failed" == owner.ledger.study("hopeless").state
    assert "no.such.layer" in str(owner.ledger.study("hopeless").reason)
    storage.close()
    owner.close()


@pytest.mark.parametrize("role", NAMES)
@pytest.mark.parametrize("words", [("status",), ("status", "digits"), ("report", "digits"), ("nodes", "--all")])
def test_every_role_reads(server: PostgresServer, trained: list[Cell], role: str, words: tuple[str, ...]) -> None:
    """What people are shown, each may see."""
    answer = ask(server, role, *words)
    assert 0 == answer.exit_code, answer.output


def test_an_editor_writes_a_report(
    server: PostgresServer, trained: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files, and what the dashboard shows of it."""
    monkeypatch.chdir(tmp_path)
    answer = ask(server, "hpo_editor", "report", "digits", "-o", "here")
    assert 0 == answer.exit_code, answer.output
    assert (tmp_path / "here" / "digits.html").exists()


def test_a_dashboard_to_be_read(server: PostgresServer, trained: list[Cell]) -> None:
    """It needs no right to write anything."""
    with running_dashboard(url(server, "hpo_dashboard"), "--read-only") as dashboard:
        studies = dashboard.ask("/api/studies").json["study_summaries"]
        assert 200 == dashboard.ask(f"/api/studies/{studies[0]['study_id']}").status


def test_a_table_that_comes_later(server: PostgresServer) -> None:
    """As `hpo migrate` makes it: all may read it at once, so no worker stops for it."""
    server.execute("create table later (id serial primary key)", "shared")
    for role in NAMES:
        storage = open_storage(url(server, role))
        with storage.engine.connect() as connection:
            assert [] == connection.execute(text("select id from later")).all()
        storage.close()


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("hpo_worker", "delete from hpo_study"),
        ("hpo_worker", "delete from hpo_cell"),
        ("hpo_worker", "update hpo_study set spec = '{}'"),
        ("hpo_worker", "update hpo_study set name = 'mine'"),
        ("hpo_worker", "update hpo_version set version = 99"),
        ("hpo_worker", "delete from hpo_worker"),
        ("hpo_worker", "delete from trials"),
        ("hpo_worker", "insert into studies (study_name) values ('mine')"),
        ("hpo_worker", "insert into study_system_attributes (study_id, key, value_json) values (1, 'a', '1')"),
        ("hpo_worker", "drop table hpo_cell"),
        ("hpo_worker", "create table mine (number int)"),
        ("hpo_worker", "create role mine"),
        ("hpo_worker", "copy hpo_study to program 'true'"),
        ("hpo_dashboard", "update hpo_cell set state = 'failed'"),
        ("hpo_dashboard", "insert into hpo_worker values ('x', 'x', 1, 'x', '{}', 0, 0)"),
        ("hpo_dashboard", "delete from hpo_checkpoint"),
        ("hpo_dashboard", "update trials set state = 'FAIL'"),
        ("hpo_dashboard", "create table mine (number int)"),
        ("hpo_editor", "update hpo_cell set state = 'failed'"),
        ("hpo_editor", "delete from hpo_study"),
        ("hpo_editor", "delete from hpo_curve"),
        ("hpo_editor", "create table mine (number int)"),
        ("hpo_editor", "drop table trials"),
        ("hpo_editor", "update alembic_version set version_num = 'v1'"),
    ],
)
def test_what_a_role_may_not(server: PostgresServer, role: str, statement: str) -> None:
    """The server refuses it."""
    storage = open_storage(url(server, role))
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner|superuser"),
        storage.engine.begin() as c,
    ):
        c.execute(text(statement))
    storage.close()


def test_a_worker_may_not_make_an_optuna_study_again(server: PostgresServer) -> None:
    """It says who may; trials that are missing it makes again itself."""
    owner = open_storage(server.url("shared"))
    study = make_study(name="gone")
    row = begin_study(owner, study)
    worker = open_storage(url(server, "hpo_worker"))
    lease = worker.ledger.claim("w", 60.0, [study.name])
    assert lease is not None
    trials = Trials(worker, study)
    trial, _ = trials.begin(lease)
    with owner.engine.begin() as connection:
        for table in ("trial_user_attributes", "trial_params", "trials"):
            connection.execute(text(f"delete from {table} where trial_id = {trial._trial_id}"))
    again, _ = trials.begin(replace(lease, cell=replace(lease.cell, trial_id=trial._trial_id)))
    assert trial.params == again.params

    optuna.delete_study(study_name="gone/only", storage=owner.optuna)
    with pytest.raises(StudyError, match="this database role may not create it again") as error:
        trials.begin(lease)
    assert "hpo repair gone" in error.value.hint
    [repaired] = repair(owner.database, row.id, row.uuid, study)
    assert repaired.was_missing
    trials.begin(lease)
    delete_study(owner, study.name)
    worker.close()
    owner.close()
