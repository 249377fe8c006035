"""`hpo start-workers local`: the workers of one machine, run to their end or stopped together."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from sqlalchemy import func, select

from hpo.launch.local import Placement
from hpo.local_run import run_locally
from hpo.report.toml import study_file
from hpo.service import begin_study
from hpo.storage import Storage
from hpo.storage.tables import checkpoint
from tests.integration.gate import Gate
from tests.integration.helpers import make_study, the_cell, wait_until

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
    """A worker that is killed is started anew; SIGTERM lets all save and give back, and the command says so."""
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
    assert 4 == process.returncode, said
    assert "workers: 2 on the CPU" in said
    assert 1 == said.count("ended by SIGKILL")
    assert 2 == said.count("] exit code 4")
    assert "error: the workers ended with: exit code 4, exit code 4" in said
    cells = storage.ledger.cells(row.id)
    assert all(cell.epochs >= 1 for cell in cells)
    assert 1 >= sum(cell.state == "leased" for cell in cells)  # the killed worker's, if nobody has asked for it yet


def test_a_closed_terminal(storage: Storage, postgres_url: str, gate: Gate) -> None:
    """The workers save and give back, as when they are asked to; nobody reads any more what they say."""
    row = begin_study(storage, make_study(trial=gate.trial))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", "--wait", sys.executable, "-m", "hpo", "start-workers", "local", "--checkpoint-every=600"],
        env=os.environ | {"HPO_STORAGE": postgres_url},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        wait_until(lambda: the_cell(storage, row).epochs >= 1)
        os.close(ours)
        process.wait(60.0)
    cell = the_cell(storage, row)
    assert ("planned", 0) == (cell.state, cell.attempts)
    with storage.engine.connect() as connection:
        assert 1 == connection.execute(select(func.count()).select_from(checkpoint)).scalar()


def test_one_worker_that_cannot_work(storage: Storage, postgres_url: str, tmp_path: Path) -> None:
    """What it says is passed on, and the others do the study."""
    begin_study(storage, make_study())
    placements = [Placement(("--device=cuda",), "MIG-1"), Placement(("--device=cpu",))]
    said: list[str] = []
    show = lambda arms: None  # noqa: E731
    assert run_locally(
        storage, "digits", placements, {"HPO_STORAGE": postgres_url}, tmp_path, show, said.append, Event()
    )
    assert "[0] exit code 2: --device 'cuda': torch can't use a GPU here" in said[0]
    assert "[0] hint: to use MIG-1, install" in said[1]
    assert "[1] exit code 0" in said


def test_workers_that_cannot_work(sqlite_url: str, tmp_path: Path) -> None:
    """Each sees the one device that it was given; when all have left, what the first said is the error."""
    file = tmp_path / "study.toml"
    file.write_text(study_file(make_study()))
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "launch-study", str(file), "--storage", sqlite_url],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "MIG-1,MIG-2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == done.returncode, done.stderr
    assert "workers: 2 on 2 GPUs" in done.stderr
    assert "[1] hint: to use MIG-2, install" in done.stderr
    error = done.stderr[done.stderr.index("\nerror: ") :]
    assert "--device 'cuda': torch can't use a GPU here" in error
    assert "hint: to use MIG-1, install" in error
    assert "Traceback" not in done.stderr


def test_a_gpu_that_is_not_there(storage: Storage, postgres_url: str) -> None:
    """What the worker lacks is told, with its exit code."""
    begin_study(storage, make_study())
    with launched(postgres_url, CUDA_VISIBLE_DEVICES="GPU-none") as process:
        said, _ = process.communicate()
    assert 2 == process.returncode, said
    assert "workers: 1 on 1 GPU," in said
    assert "[0] error: --device 'cuda': torch can't use a GPU here" in said
    assert "[0] exit code 2\nerror: the workers ended with: exit code 2" in said


def test_a_study_that_has_failed(storage: Storage, postgres_url: str) -> None:
    """Nobody is started anew for it: a person must fix the cause."""
    storage.ledger.fail_study(begin_study(storage, make_study(TWO)).id, "no good")
    with launched(postgres_url, ["digits"]) as process:
        said, _ = process.communicate()
    assert 2 == process.returncode, said
    assert "digits has failed: no good" in said and "hpo retry digits" in said
    assert "starting again" not in said
