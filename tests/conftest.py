"""What tests share: one Postgres server for the whole run, and a database of its own for every test.

Without a Postgres on the machine the tests that need one are skipped, with the reason; under CI=true the run fails.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import torch

from hpo.storage import create_storage
from tests.nvidia import NvidiaSmi
from tests.postgres import NoPostgresError, PostgresServer

# Its assertions explain themselves only if pytest knows of it before anything imports it.
pytest.register_assert_rewrite("tests.integration.helpers")

ROOT = Path(__file__).parents[1]
URL = "HPO_TEST_PG_URL"
MISSING = "HPO_TEST_PG_MISSING"
TEMPLATE = "hpo_template"


def pytest_configure(config: pytest.Config) -> None:
    """Under xdist the controller comes here first; its workers inherit the environment."""
    # For processes that are to import models from these tests: workers don't take modules from their working directory.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    if hasattr(config, "workerinput") or URL in os.environ or config.option.collectonly:
        return
    try:
        server = PostgresServer().start()
    except NoPostgresError as error:
        if os.environ.get("CI") == "true":
            raise pytest.UsageError(str(error)) from None
        os.environ[MISSING] = str(error)
        return
    config.add_cleanup(server.remove)
    server.execute(f"create database {TEMPLATE}")
    storage = create_storage(server.url(TEMPLATE))
    storage.close()
    os.environ[URL] = server.url("{database}")
    config.add_cleanup(lambda: os.environ.pop(URL))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """As in workers: results depend on the number of threads."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_log_level() -> Iterator[None]:
    """What a test hears of the log does not depend on the tests before it."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


def _new_database(template: str) -> Iterator[str]:
    if MISSING in os.environ:
        pytest.skip(os.environ[MISSING])
    url, name = os.environ[URL], f"t{uuid.uuid4().hex[:12]}"
    connection = psycopg2.connect(url.format(database="postgres").replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"create database {name} template {template} strategy file_copy")
        yield url.format(database=name)
        cursor.execute(f"drop database {name} with (force)")
    connection.close()


@pytest.fixture
def empty_postgres_url() -> Iterator[str]:
    """A Postgres database without any table."""
    yield from _new_database("template0")


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A Postgres database with the schema and no studies."""
    yield from _new_database(TEMPLATE)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    create_storage(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, _sqlite_template: Path) -> str:
    """An SQLite file with the schema and no studies."""
    path = tmp_path / "hpo.db"
    shutil.copy(_sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def storage_url(request: pytest.FixtureRequest) -> str:
    """A storage with the schema and no studies, on each kind of database in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def start_postgres() -> PostgresServer:
    """A server beside the shared one; the test is skipped on a machine without one."""
    try:
        return PostgresServer().start()
    except NoPostgresError as error:
        pytest.skip(str(error))


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, to be restarted and otherwise ill-treated."""
    server = start_postgres()
    yield server
    server.remove()


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NvidiaSmi:
    """The driver's program, which says what the test wants."""
    folder = tmp_path / "nvidia"
    folder.mkdir()
    return NvidiaSmi(folder, monkeypatch)
