"""The database roles of deploy/postgres/roles.sql: each can do its work, and nothing beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import create_storage, open_storage
from tests.conftest import start_postgres
from tests.integration.helpers import Crew, check_study, make_study
from tests.postgres import PostgresServer

ROLES = Path(__file__).parents[2] / "deploy" / "postgres" / "roles.sql"
PASSWORD = "sesame-open"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server with a planned study and the roles, each with a password."""
    server = start_postgres()
    server.execute("create database shared")
    storage = create_storage(server.url("shared"))
    arms = {
        "grid": {"search": {"lr.peak": {"values": [0.03, 0.1]}}},
        "tpe": {"sampler": {"kind": "tpe"}, "search": {"lr.peak": {"low": 0.01, "high": 0.1}}},
    }
    begin_study(storage, make_study(arms, pruner={"kind": "median", "startup": 1}, confirm={"top": 1, "seeds": 2}))
    storage.close()
    for _ in range(2):  # the file says that running it again is safe
        server.execute(ROLES.read_text(), "shared")
    for role in ("hpo_worker", "hpo_dashboard"):
        server.execute(f"alter role {role} password '{PASSWORD}'")
    yield server
    server.remove()


def url(server: PostgresServer, role: str) -> str:
    """The storage URL of one of the roles."""
    return f"postgresql+psycopg2://{role}:{PASSWORD}@127.0.0.1:{server.port}/shared"


def test_a_worker_needs_no_more_than_its_role(server: PostgresServer, tmp_path: Path) -> None:
    """A study with a grid, a sampler, a pruner and a confirm phase is trained to its end."""
    crew = Crew(url(server, "hpo_worker"), tmp_path)
    crew.start(2)
    cells = check_study(server.url("shared"), "digits", crew)
    assert {"search", "confirm"} == {cell.phase for cell in cells}
    assert PASSWORD not in crew.said()


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("hpo_worker", "delete from hpo_study"),
        ("hpo_worker", "delete from hpo_cell"),
        ("hpo_worker", "delete from hpo_curve"),
        ("hpo_worker", "update hpo_study set spec = '{}'"),
        ("hpo_worker", "update hpo_study set state = 'stopped'"),
        ("hpo_worker", "delete from trials"),
        ("hpo_worker", "insert into studies (study_name) values ('mine')"),
        ("hpo_worker", "drop table hpo_cell"),
        ("hpo_worker", "create table mine (number int)"),
        ("hpo_worker", "create role mine"),
        ("hpo_worker", "copy hpo_study to program 'true'"),
        ("hpo_dashboard", "update hpo_cell set state = 'failed'"),
        ("hpo_dashboard", "insert into hpo_worker values ('x', 'x', 1, 'x', '{}', 0, 0)"),
        ("hpo_dashboard", "delete from hpo_checkpoint"),
        ("hpo_dashboard", "update trials set state = 'FAIL'"),
        ("hpo_dashboard", "create table mine (number int)"),
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


def test_the_dashboard_role_reads(server: PostgresServer) -> None:
    """`hpo status` and `hpo report` work under it."""
    for verb in (["status"], ["report", "digits"]):
        result = CliRunner().invoke(cli, verb, env={"HPO_STORAGE": url(server, "hpo_dashboard")})
        assert result.exit_code == 0, result.output
