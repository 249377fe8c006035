"""The tables: created once whoever comes first, and only used where this version can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from click.testing import CliRunner
from sqlalchemy import text

from hpo.cli import cli
from hpo.errors import StorageError
from hpo.storage import create_storage, open_storage, tables
from hpo.storage.connection.url import parse_url
from hpo.storage.tables import SCHEMA_VERSION

PROCESSES = 8
RACE = f"""
import multiprocessing, sys
import optuna
from hpo.storage import create_storage

def create(barrier):
    barrier.wait()
    create_storage(sys.argv[1]).close()

context = multiprocessing.get_context("fork")
barrier = context.Barrier({PROCESSES})
processes = [context.Process(target=create, args=(barrier,)) for _ in range({PROCESSES})]
for process in processes:
    process.start()
for process in processes:
    process.join()
print(*(process.exitcode for process in processes))
"""


def empty_sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'new.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table, on each kind in turn."""
    if request.param == "sqlite":
        return empty_sqlite(tmp_path)
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


def execute(url: str, sql: str) -> None:
    engine = sqlalchemy.create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text(sql))
    engine.dispose()


def test_created_by_eight_at_once(empty_url: str) -> None:
    """All of them succeed, and there is one schema."""
    done = subprocess.run([sys.executable, "-c", RACE, empty_url], capture_output=True, text=True, check=True)
    assert ["0"] * PROCESSES == done.stdout.split(), done.stderr
    storage = open_storage(empty_url)
    with storage.engine.connect() as connection:
        assert [(SCHEMA_VERSION,)] == connection.execute(text("select version from hpo_version")).all()
        assert [(1,)] == connection.execute(text("select count(*) from alembic_version")).all()
    storage.close()


def test_tables_of_a_newer_version(storage_url: str) -> None:
    """They are left alone; the message names both versions and what to do."""
    execute(storage_url, "update hpo_version set version = 99")
    for way in (open_storage, create_storage):
        with pytest.raises(StorageError, match="its tables have version 99; this hpo knows") as error:
            way(storage_url)
        assert "install the version of hpo that the other nodes use" == error.value.hint


@pytest.mark.parametrize(
    ("revision", "hint"),
    [("v2.6.0.a", "optuna storage upgrade --storage "), ("v99.a", "pip install --upgrade optuna")],
)
@pytest.mark.parametrize("has_studies", [True, False])
def test_optunas_tables_of_another_release(storage_url: str, revision: str, hint: str, has_studies: bool) -> None:
    """Launch and worker say which version is there and which is needed, before anything; who only reads goes on."""
    execute(storage_url, f"update alembic_version set version_num = '{revision}'")
    if not has_studies:
        for table in reversed(tables.metadata.sorted_tables):
            execute(storage_url, f"drop table {table.name}")
    said = rf"Optuna's tables have version {revision}; the Optuna that is installed here needs v3\.2\.0\.a"
    with pytest.raises(StorageError, match=said) as error:
        create_storage(storage_url)
    assert hint in error.value.hint
    assert (parse_url(storage_url).password or "no password") not in f"{error.value} {error.value.hint}"
    if has_studies:
        answer = CliRunner().invoke(cli, ["worker", "--device=cpu"], env={"HPO_STORAGE": storage_url})
        assert (2, True) == (answer.exit_code, hint in answer.stderr)
        assert "Traceback" not in answer.stderr
        assert 0 == CliRunner().invoke(cli, ["status"], env={"HPO_STORAGE": storage_url}).exit_code


def test_a_database_of_something_else(empty_url: str) -> None:
    """Opening it is an error that shows no password; the tables in it stay when ours are created beside them."""
    execute(empty_url, "create table theirs (x integer)")
    with pytest.raises(StorageError, match="this database holds no studies yet") as error:
        open_storage(empty_url)
    assert (parse_url(empty_url).password or "no password") not in str(error.value)
    create_storage(empty_url).close()
    execute(empty_url, "insert into theirs values (1)")


def test_no_database(tmp_path: Path, empty_postgres_url: str) -> None:
    """A file or a database that isn't there is an error that says which."""
    with pytest.raises(StorageError, match=r"new\.db: there is no such file"):
        open_storage(empty_sqlite(tmp_path))
    url = parse_url(empty_postgres_url).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(StorageError, match='database "nowhere" does not exist'):
        open_storage(url)
    with pytest.raises(StorageError, match="unable to open database file"):
        create_storage(f"sqlite:///{tmp_path / 'no folder' / 'new.db'}")
