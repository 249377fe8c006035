"""`hpo start-workers ssh` and `hpo stop-workers`, through a real ssh server on loopback."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.engine import make_url

from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import Storage
from tests.acceptance.test_no_password import command_lines
from tests.integration.gate import EPOCHS, Gate
from tests.integration.helpers import make_study, optuna_trials, the_cell, wait_until, work_here
from tests.machine import require
from tests.sshd import SshServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    """An ssh server that answers."""
    require("sshd", "ssh", "ssh-keygen", packages="openssh-server openssh-client", root=False)
    (tmp_path / "sshd").mkdir()
    server = SshServer(tmp_path / "sshd")
    wait_until(server.answers)
    yield server
    server.end()


def test_started_seen_and_stopped(
    server: SshServer, storage: Storage, postgres_url: str, tmp_path: Path, gate: Gate
) -> None:
    """Workers outlive the connection, are seen by host, and save when they are stopped; the trial goes on later.

    No command line shows the password, a second start is refused, and a host that is down is named with its exit code.
    """
    password = make_url(postgres_url).password
    assert isinstance(password, str)
    study = make_study(trial=gate.trial)
    row = begin_study(storage, study)
    there = tmp_path / "my hpo"
    there.write_text(f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m hpo "$@"\n')
    there.chmod(0o755)

    def ask(*arguments: str) -> Result:
        where = ["--ssh", server.command, "--folder", str(tmp_path / "it's there")]
        return CliRunner().invoke(cli, [*arguments, *where], env={"HPO_STORAGE": postgres_url})

    def start(*hosts: str) -> Result:
        named = [f"--host={host}" for host in hosts]
        return ask(
            "start-workers",
            "ssh",
            study.name,
            *named,
            "--hpo",
            str(there),
            "--checkpoint-every=0",
            "--env=PATH",
            "--env=HPO_CUSTOM_TARGETS",
            "--env=PYTHONPATH",
        )

    log = tmp_path / "it's there" / socket.gethostname() / "log"
    try:
        done = start("n1", "down")
        assert 1 == done.exit_code
        assert "n1: workers: 1 on the CPU (nvidia-smi " in done.stderr, done.output
        assert f", storage {storage}; log: {log}" in done.stderr
        assert "failed, with exit code: down (255)" in done.stderr

        wait_until(lambda: the_cell(storage, row).epochs >= 2)
        assert password not in command_lines() + done.output + log.read_text()
        seen = CliRunner().invoke(cli, ["nodes", "--json"], env={"HPO_STORAGE": postgres_url})
        (worker,) = json.loads(seen.stdout)
        assert (socket.gethostname(), True) == (worker["host"], worker["alive"])
        assert worker["holds"].startswith("digits/only, search, trial ")
        assert 0 == CliRunner().invoke(cli, ["nodes", "--here"], env={"HPO_STORAGE": postgres_url}).exit_code

        again = start("n2")  # the same machine by another name
        assert "n2: workers are already running here (process " in again.stderr
        assert 1 == again.exit_code
    finally:
        stopped = ask("stop-workers", "--host=n1")
    assert f"n1: stopped; log: {log}" in stopped.stderr, log.read_text()
    cell = the_cell(storage, row)
    assert "planned" == cell.state and 2 <= cell.epochs < EPOCHS
    assert "[0] exit code 4" in log.read_text()
    assert "no workers are running here" in ask("stop-workers", "--host=n1").stderr
    assert 1 == CliRunner().invoke(cli, ["nodes", "--here"], env={"HPO_STORAGE": postgres_url}).exit_code

    gate.open()
    work_here(storage)
    cell = the_cell(storage, row)
    assert ("done", EPOCHS, 2) == (cell.state, cell.epochs, cell.claims)
    assert 1 == len(optuna_trials(postgres_url, study))
