"""Machines and studies that can't: none of them takes others down, and no cell pays for what is not its fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import OrderedDict
from math import prod
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner
from torch import Tensor, nn

from hpo.cli import cli
from hpo.errors import HpoError, MachineError, SickMachine, StudyError
from hpo.service import begin_study
from hpo.storage import Storage
from hpo.storage.rows import Cell, StudyRow
from hpo.worker import Worker, WorkerOptions, work
from tests.integration.helpers import Crew, make_study, the_cell, wait_until

THREE = {"grid": {"search": {"lr.peak": {"values": [0.02, 0.03, 0.05, 0.07]}}}}
MISSING = {"data": {"kind": "npz", "file": "missing.npz"}}
OPTIONS = WorkerOptions(device="cpu", lease_seconds=5.0)


class Broken(nn.Sequential):
    """The perceptron of the tests, which raises as long as there is a file."""

    def __init__(self, shape: tuple[int, int, int], classes: int, file: str) -> None:
        super().__init__(
            OrderedDict(flatten=nn.Flatten(), dropout=nn.Dropout(p=0.0), output=nn.Linear(prod(shape), classes))
        )
        self._file = Path(file)

    def forward(self, inputs: Tensor) -> Tensor:
        if self._file.exists():
            raise RuntimeError(self._file.read_text())
        outputs: Tensor = super().forward(inputs)
        return outputs


def net(shape: tuple[int, int, int], classes: int, file: str) -> nn.Module:
    return Broken(shape, classes, file)


@pytest.fixture
def sick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], Path]:
    """A trial that raises as long as there is a file, and the file, which holds what it raises."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", __name__)
    file = tmp_path / "sick"
    model = {"kind": "custom", "target": f"{__name__}:net", "args": {"file": str(file)}}
    return {"model": model}, file


def states(storage: Storage, row: StudyRow) -> list[tuple[str, int]]:
    """State and attempts of every cell."""
    return [(cell.state, cell.attempts) for cell in storage.ledger.cells(row.id)]


def the_worker(storage: Storage) -> Any:
    """The worker that was there last."""
    return storage.ledger.workers()[0]


def test_a_study_without_images_beside_a_good_one(storage: Storage, crew: Crew) -> None:
    """Its cells come first, and are given back uncounted; the fleet lives and trains the good study."""
    bad = begin_study(storage, make_study(THREE, "bad", MISSING))
    good = begin_study(storage, make_study(THREE, "good"))
    workers = crew.start(2, forever=True)
    wait_until(lambda: {"done"} == {cell.state for cell in storage.ledger.cells(good.id)})
    assert [("planned", 0)] * 4 == states(storage, bad)
    assert [None, None] == [worker.process.poll() for worker in workers]
    answer = CliRunner().invoke(cli, ["nodes"], env={"HPO_STORAGE": storage.url.render_as_string(False)})
    assert "can't train bad" in answer.output and "missing.npz" in answer.output
    for worker in workers:
        worker.process.send_signal(signal.SIGHUP)  # as when a terminal is closed
    assert [0, 0] == [worker.process.wait(30.0) for worker in workers]


def test_nothing_else_is_left(storage: Storage) -> None:
    """A worker that can train nothing of what is left ends with what is missing."""
    begin_study(storage, make_study(THREE, "bad", MISSING))
    good = begin_study(storage, make_study(name="good"))
    with pytest.raises(MachineError, match=r"missing\.npz"):
        work(storage, [], OPTIONS, Event())
    assert "done" == the_cell(storage, good).state


def test_a_plan_that_this_hpo_cannot_read(storage: Storage) -> None:
    """It is left out; other studies go on."""
    bad = begin_study(storage, make_study(name="bad"))
    good = begin_study(storage, make_study(name="good"))
    spec = json.loads(bad.spec)
    spec["trial"]["model"]["of_the_future"] = 1
    with storage.engine.begin() as connection:
        connection.exec_driver_sql(
            "update hpo_study set spec = %(spec)s where name = 'bad'", {"spec": json.dumps(spec)}
        )
    with pytest.raises(StudyError, match=r"planned by another version of hpo .*of_the_future"):
        work(storage, [], OPTIONS, Event())
    assert "done" == the_cell(storage, good).state
    assert ("planned", 0) == states(storage, bad)[0]


def test_one_sick_worker_among_healthy_ones(storage: Storage, sick: tuple[dict[str, Any], Path]) -> None:
    """Trials raise on it before their first epoch while another worker trains its own: it ends, and no cell fails."""
    trial, file = sick
    row = begin_study(storage, make_study(THREE, "shared", trial, attempts=1))
    storage.ledger.register("healthy", "host", 1, "CPU", {})
    held = storage.ledger.claim("healthy", 600.0)
    assert held is not None
    with storage.engine.begin() as connection:  # the other one has trained two epochs
        connection.exec_driver_sql(f"update hpo_cell set epochs = 2 where id = {held.cell.id}")
    file.write_text("no kernel image is available")
    with pytest.raises(SickMachine, match=r"3 trials in a row .* no kernel image"):
        work(storage, [], OPTIONS, Event())
    assert [("leased", 1), *[("planned", 0)] * 3] == sorted(states(storage, row))
    assert "no kernel image" in the_worker(storage).reason
    file.unlink()  # a healthy worker finds everything there to be done
    storage.ledger.release(held)
    storage.ledger.seen("healthy", ended=True)
    work(storage, [], OPTIONS, Event())
    assert {"done"} == {cell.state for cell in storage.ledger.cells(row.id)}


def test_a_study_whose_trials_all_raise(storage: Storage, sick: tuple[dict[str, Any], Path]) -> None:
    """It is stopped as failed after three of them, with the reason, before all are burned; `hpo retry` begins anew."""
    trial, file = sick
    file.write_text("mat1 and mat2 shapes cannot be multiplied")
    row = begin_study(storage, make_study(THREE, "broken", trial))
    with pytest.raises(HpoError, match=r"broken has failed: its first trials all failed: .*cannot be multiplied") as e:
        work(storage, ["broken"], OPTIONS, Event())
    assert 1 == e.value.exit_code
    assert "failed" == storage.ledger.study("broken").state
    assert [("planned", 0), *[("planned", 1)] * 3] == sorted(states(storage, row))
    file.unlink()
    assert CliRunner().invoke(cli, ["retry", "broken"], env=environment(storage)).exit_code == 0
    work(storage, ["broken"], OPTIONS, Event())
    assert {"done"} == {cell.state for cell in storage.ledger.cells(row.id)}


def environment(storage: Storage) -> dict[str, str]:
    return {"HPO_STORAGE": storage.url.render_as_string(hide_password=False)}


def test_the_last_attempt_is_left_to_another_worker(storage: Storage, sick: tuple[dict[str, Any], Path]) -> None:
    """While another worker is alive, a trial that raised on one alone is not set aside; raising there too, it is."""
    trial, file = sick
    file.write_text("no")
    row = begin_study(storage, make_study(name="one", trial=trial, attempts=1))
    storage.ledger.register("other", "host", 1, "CPU", {})
    first = Worker(storage, [], WorkerOptions(device="cpu", lease_seconds=5.0), (stop := Event()))
    wait = _stop_when(stop, lambda: the_cell(storage, row).failed_by is not None)
    with pytest.raises(HpoError):  # work is left
        first.run()
    wait.join()
    assert ("planned", 0) == states(storage, row)[0]
    storage.ledger.seen("other", ended=True)
    work(storage, [], OPTIONS, Event())
    cell = the_cell(storage, row)
    assert ("failed", "RuntimeError: no") == (cell.state, str(cell.reason)[-len("RuntimeError: no") :])


def _stop_when(stop: Event, condition: Any) -> Any:
    from threading import Thread

    def watch() -> None:
        wait_until(condition)
        stop.set()

    thread = Thread(target=watch)
    thread.start()
    return thread


def test_a_text_that_no_database_takes(storage: Storage, sick: tuple[dict[str, Any], Path]) -> None:
    """An exception with a NUL in it is kept like any other, and takes no worker with it."""
    trial, file = sick
    file.write_text("before\0after")
    row = begin_study(storage, make_study(name="nul", trial=trial, attempts=2))
    work(storage, [], OPTIONS, Event())
    cell = the_cell(storage, row)
    assert ("failed", 2) == (cell.state, cell.claims)
    assert "before\N{REPLACEMENT CHARACTER}after" in str(cell.error)


def test_a_worker_that_hangs(storage: Storage, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial without any progress is given back with the place where it hangs, and its worker ends."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", __name__)
    target = {"kind": "custom", "target": f"{__name__}:hang", "args": {"file": str(tmp_path / "hang")}}
    os.mkfifo(tmp_path / "hang")
    row = begin_study(storage, make_study(trial={"model": target}))
    (worker,) = crew.start(1, options=["--stall=15"])
    assert SickMachine.exit_code == worker.process.wait(60.0)
    cell = the_cell(storage, row)
    assert ("planned", 1) == (cell.state, cell.attempts)
    assert "no progress for 15 seconds" in str(cell.reason)
    assert "in hang" in str(cell.error)
    assert "no progress" in the_worker(storage).reason


def hang(shape: tuple[int, int, int], classes: int, file: str) -> nn.Module:
    """Waits for somebody to write to a pipe, as one waits for a file server that does not answer."""
    Path(file).read_text()
    return net(shape, classes, file)


def test_a_machine_without_a_temporary_folder(storage: Storage) -> None:
    """A worker looks at itself before its first claim: exit code 2, what and where, and no cell was touched."""
    row = begin_study(storage, make_study())
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", sys.executable, "-m", "hpo", "worker", "--device=cpu"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment(storage),
    )
    assert 2 == done.returncode, done.stderr
    assert "error: a temporary file of 64 KiB can't be written: " in done.stderr
    assert "Traceback" not in done.stderr
    cell: Cell = the_cell(storage, row)
    assert ("planned", 0) == (cell.state, cell.claims)
