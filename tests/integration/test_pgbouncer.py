"""Workers behind pgbouncer in transaction mode, as deploy/pgbouncer/pgbouncer.ini sets it up."""

from __future__ import annotations

import configparser
import os
import pwd
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from hpo.service import begin_study, is_done
from hpo.storage import create_storage, open_storage
from tests.dashboard import free_port
from tests.integration.helpers import Crew, check_study, make_study, wait_until, work_here
from tests.machine import open_folder, program, require

RECIPE = Path(__file__).parents[2] / "deploy" / "pgbouncer" / "pgbouncer.ini"
SERVER_CONNECTIONS = 4
THREADS = 16


@dataclass(frozen=True)
class Bouncer:
    """A pgbouncer in front of an empty database."""

    url: URL
    behind: URL

    def answers(self) -> bool:
        """Whether it can be used by now."""
        try:
            psycopg2.connect(self.url.set(drivername="postgresql").render_as_string(False)).close()
        except psycopg2.OperationalError:
            return False
        return True


@pytest.fixture
def bouncer(empty_postgres_url: str) -> Iterator[Bouncer]:
    """The recipe, with the paths and the server of this test and a small pool."""
    require("pgbouncer", packages="pgbouncer", root=False)
    with open_folder() as folder:
        yield from _running(empty_postgres_url, folder)


def _running(empty_postgres_url: str, folder: Path) -> Iterator[Bouncer]:
    behind = make_url(empty_postgres_url)
    recipe = configparser.ConfigParser(comment_prefixes=(";",))
    recipe.read(RECIPE)
    port = free_port()
    recipe["databases"] = {"studies": f"host={behind.host} port={behind.port} dbname={behind.database}"}
    changed = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_file": str(folder / "userlist.txt"),
        "pidfile": str(folder / "pid"),
        "logfile": str(folder / "log"),
        "default_pool_size": str(SERVER_CONNECTIONS),
        "max_client_conn": "100",
    }
    recipe["pgbouncer"].update(changed)
    (folder / "userlist.txt").write_text(f'"{behind.username}" "{behind.password}"\n')
    with (folder / "pgbouncer.ini").open("w") as file:
        recipe.write(file)
    as_root = os.geteuid() == 0  # as which it refuses to run
    if as_root:
        for path in (folder, *folder.iterdir()):
            os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    process = subprocess.Popen(
        [program("pgbouncer"), "-q", *(["-u", "nobody"] if as_root else []), folder / "pgbouncer.ini"],
        stdin=subprocess.DEVNULL,
    )
    bouncer = Bouncer(behind.set(port=port, database="studies"), behind)
    try:
        wait_until(bouncer.answers)
        yield bouncer
    finally:
        process.terminate()
        process.wait()


def test_a_study_behind_it(bouncer: Bouncer, tmp_path: Path) -> None:
    """Tables are made, threads claim each cell once, and a worker ends a study with samplers, rungs and a lock."""
    url = bouncer.url.render_as_string(False)
    storage = create_storage(url)
    arms = {
        "grid": {"search": {"lr.peak": {"values": [0.03, 0.1]}}},
        "tpe": {"sampler": {"kind": "tpe"}, "search": {"lr.peak": {"low": 0.01, "high": 0.1}}},
    }
    study = make_study(arms, pruner={"kind": "median", "startup": 1}, confirm={"top": 1, "seeds": 2})
    row = begin_study(storage, study)
    work_here(storage)
    assert is_done(storage, row, study)
    check_study(url, study.name, Crew(url, tmp_path))

    values = [round(0.001 * n, 3) for n in range(1, 61)]
    row = begin_study(storage, make_study({"grid": {"search": {"lr.peak": {"values": values}}}}, "many"))

    def claim(number: int) -> list[int]:
        mine = open_storage(url)
        claimed = []
        while (lease := mine.ledger.claim(f"worker-{number}", 600.0, ["many"])) is not None:
            mine.ledger.renew(lease, 600.0)
            claimed.append(lease.cell.id)
        mine.close()
        return claimed

    with ThreadPoolExecutor(THREADS) as pool:
        claimed = [cell for cells in pool.map(claim, range(THREADS)) for cell in cells]
    assert sorted(cell.id for cell in storage.ledger.cells(row.id)) == sorted(claimed)
    query = text("select count(*) from pg_stat_activity where datname = current_database()")
    with storage.engine.connect() as connection:
        assert connection.execute(query).scalar_one() <= SERVER_CONNECTIONS
    storage.close()
