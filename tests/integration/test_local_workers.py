"""`hpo start-workers local`: the workers of one machine, run to their end or stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hpo.service import begin_study
from hpo.storage import Storage
from tests.integration.gate import Gate
from tests.integration.helpers import make_study, wait_until

TWO = {"grid": {"search": {"lr.peak": {"values": [0.03, 0.05]}}}}


@contextmanager
def launched(url: str, options: Sequence[str] = (), **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command, as a process that is gone in the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "hpo", "start-workers", "local", *options],
        env=os.environ | {"HPO_STORAGE": url} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_two_workers_one_killed_all_stopped(storage: Storage, postgres_url: str, gate: Gate) -> None:
    """A worker that is killed is started anew; SIGTERM lets all save and give back, and the command ends with 0."""
    row = begin_study(storage, make_study(TWO, trial=gate.trial))

    def training() -> dict[str, int]:
        pids = {worker.id: worker.pid for worker in storage.ledger.workers()}
        held = [cell for cell in storage.ledger.cells(row.id) if cell.state == "leased" and cell.epochs >= 1]
        return {str(cell.worker): pids[str(cell.worker)] for cell in held}

    with launched(postgres_url, ["--workers-per-device=2", "--lease=1", "--checkpoint-every=0"]) as process:
        wait_until(lambda: len(training()) == 2)
        before = training()
        os.kill(next(iter(before.values())), signal.SIGKILL)
        wait_until(lambda: len(storage.ledger.workers()) == 3)
        process.terminate()
        said, _ = process.communicate()
    assert 0 == process.returncode, said
    assert "workers: 2 on the CPU" in said
    assert 1 == said.count("ended by SIGKILL")
    assert 2 == said.count("exit code 0")
    cells = storage.ledger.cells(row.id)
    assert all(cell.epochs >= 1 for cell in cells)
    assert 1 >= sum(cell.state == "leased" for cell in cells)  # the killed worker's, if nobody has asked for it yet


def test_a_gpu_that_is_not_there(storage: Storage, postgres_url: str) -> None:
    """Each worker sees the one GPU that it was given; what it lacks is told, with its exit code."""
    begin_study(storage, make_study())
    with launched(postgres_url, CUDA_VISIBLE_DEVICES="GPU-none") as process:
        said, _ = process.communicate()
    assert 2 == process.returncode, said
    assert "workers: 1 on 1 GPU," in said
    assert "[0] error: --device 'cuda': there is no such device here" in said
    assert "[0] exit code 2\nerror: exit codes of the workers: 2" in said
