"""deploy/compose.yaml: what its services run, on a real server, each with the role that the file gives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose import Composed
from tests.conftest import start_postgres
from tests.integration.helpers import wait_until

STUDY = """
name = "small"
[trial]
epochs = 2
batch_size = 32
data = { kind = "digits", validation = 0.2, train_limit = 100 }
model = { kind = "mlp", hidden = [8] }
optimizer = { kind = "sgd" }
lr = { kind = "constant", peak = 0.1 }
[protocol]
confirm = { seeds = 2 }
[arms.grid]
search."lr.peak" = { values = [0.03, 0.1] }
"""


@pytest.fixture(scope="module")
def composed() -> Iterator[Composed]:
    """A database with tables and roles, as the services `tables` and `roles` leave it."""
    server = start_postgres()
    composed = Composed(server)
    server.execute("create database studies")
    made = composed.hpo("tables")
    assert 0 == made.exit_code, made.output
    for _ in range(2):  # compose runs them each time it starts
        given = composed.give_rights()
        assert (0, "") == (given.returncode, given.stdout), given.stderr
    yield composed
    server.remove()


def test_who_may_log_in(composed: Composed) -> None:
    """Workers and dashboard have a role of their own, which is no superuser, and its password."""
    for name, role in (("worker-cpu", "hpo_worker"), ("worker-gpu", "hpo_worker"), ("dashboard", "hpo_editor")):
        assert f"//{role}@" in composed.environment(name)["HPO_STORAGE"]
        assert 0 == composed.hpo(name, "status").exit_code
        found = composed.server.execute(
            f"select rolsuper, rolcreaterole, rolcreatedb from pg_roles where rolname = '{role}'"
        )
        assert [(False, False, False)] == found


def test_no_password_in_the_servers_log(composed: Composed) -> None:
    """Even where a server is told to log all statements."""
    composed.server.execute("alter role hpo set log_statement = 'all'")
    assert 0 == composed.give_rights().returncode
    composed.server.execute("alter role hpo reset log_statement")
    log = (composed.server.folder / "log").read_text()
    assert "grant select on all tables" in log
    for name in ("WORKER_PASSWORD", "EDITOR_PASSWORD"):
        assert composed.settings[name].replace("'", "''") not in log


def test_a_study(composed: Composed, tmp_path: Path) -> None:
    """Launched by the service `hpo`, trained by a worker's service, which is healthy and ends well when asked."""
    file = tmp_path / "small.toml"
    file.write_text(STUDY)
    launched = composed.hpo("hpo", "launch-study", str(file), "--workers", "0")
    assert 0 == launched.exit_code, launched.output
    command = [sys.executable, "-m", "hpo", *composed.command("worker-cpu")]
    with subprocess.Popen(
        command,
        env=os.environ | composed.environment("worker-cpu"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as worker:
        done = "select count(*) from hpo_cell where state = 'done' and phase = 'confirm'"
        try:
            wait_until(lambda: composed.server.execute(done, "studies") == [(2,)])
            assert 0 == composed.hpo("worker-cpu", "nodes", "--here").exit_code
        finally:
            worker.send_signal(signal.SIGTERM)
        said, _ = worker.communicate(timeout=60)
    assert 0 == worker.returncode, said
    assert "Traceback" not in said
