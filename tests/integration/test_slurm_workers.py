"""`hpo start-workers slurm` on a real Slurm with several virtual nodes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy.engine import make_url

from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import Storage
from tests.acceptance.test_no_password import command_lines
from tests.integration.gate import EPOCHS, Gate
from tests.integration.helpers import Crew, check_study, make_study, wait_until
from tests.machine import open_folder, require
from tests.slurm import SlurmCluster

ROOT = Path(__file__).parents[2]
NODES = 3
CELLS = {"grid": {"search": {"lr.peak": {"values": [0.02, 0.05, 0.1]}}}}


@pytest.fixture
def cluster() -> Iterator[SlurmCluster]:
    """A cluster whose nodes wait for work."""
    require("slurmctld", "slurmd", "munged", "sbatch", "setpriv", packages="slurm-wlm munge")
    with open_folder() as folder:
        cluster = SlurmCluster(folder, NODES)
        try:
            wait_until(cluster.up)
            yield cluster
        finally:
            cluster.end()


@pytest.mark.slow
def test_disturbed_in_the_middle(
    cluster: SlurmCluster,
    storage: Storage,
    postgres_url: str,
    tmp_path: Path,
    crew: Crew,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of three nodes one is requeued, one cancelled, and the time of one is nearly up, each in the middle of a trial.

    The workers save, the two come back, and every trial is continued: none lost, none twice. Slurm hands out the GPUs,
    and shows the password nowhere.
    """
    password = make_url(postgres_url).password
    assert isinstance(password, str)
    monkeypatch.setenv("HPO_STORAGE", postgres_url)
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    study = make_study(CELLS, trial=gate.trial)
    row = begin_study(storage, study)
    there, logs_folder = tmp_path / "my hpo", tmp_path / 'my "logs" #1'
    logs_folder.mkdir()
    there.write_text(  # the nodes' GPUs are not real ones
        f'#!/bin/sh\necho "GPUs: $CUDA_VISIBLE_DEVICES"\nunset CUDA_VISIBLE_DEVICES\n'
        f'cd "{ROOT}" && exec "{sys.executable}" -m hpo "$@"\n'
    )
    there.chmod(0o755)
    asked = [
        f"--nodes={NODES}",
        "--gpus=2",
        "--checkpoint-every=0",
        f"--output={logs_folder}/%A_%a.log",
        f"--hpo='{there}'",
    ]
    done = CliRunner().invoke(cli, ["start-workers", "slurm", study.name, *asked])
    assert done.exit_code == 0, done.output
    job = done.stdout.strip()

    wait_until(lambda: len([cell for cell in storage.ledger.cells(row.id) if cell.epochs >= 2]) == NODES)
    public = command_lines() + cluster.ask("scontrol", "show", "job", job)
    public += cluster.ask("scontrol", "write", "batch_script", f"{job}_0", "-")
    assert str(there) in public and password not in public
    cluster.ask("scontrol", "requeue", f"{job}_0")
    cluster.ask("scancel", f"{job}_1")
    cluster.ask("scancel", "--batch", "--signal=USR1", f"{job}_2")  # what Slurm sends before the time is up

    logs = [logs_folder / f"{job}_{task}.log" for task in range(NODES)]
    wait_until(lambda: all("given back after" in log.read_text() for log in logs))
    gate.open()
    wait_until(lambda: sorted(cluster.states(job)) == ["CANCELLED", "COMPLETED", "COMPLETED"])
    cells = check_study(postgres_url, study.name, crew)
    assert [(EPOCHS, 2)] * NODES == [(cell.epochs, cell.claims) for cell in cells]
    said = [log.read_text() for log in logs]
    assert [2, 1, 2] == [log.count("GPUs: 0,1\n") for log in said]
    assert [1, 1, 1] == [log.count("given back after") for log in said]
    assert [1, 1, 1] == [log.count("[0] exit code 4\n") for log in said]
    assert [1, 0, 1] == [log.count("[0] exit code 0\n") for log in said]
    assert password not in "".join(said)
