"""A study on several hosts: workers in network namespaces, the database in another, a long and lossy line between them.

    python -m tests.faults.hosts --delay 20 --loss 1 --cut

Prints one JSON object: how long the trials took, how many round trips to the database each of them made, and, with
--cut, what became of them when a host was cut off for longer than its lease and came back. Needs root, `ip` and `nft`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from hpo.service import begin_study, find_study, is_done
from hpo.storage import Storage, create_storage
from hpo.storage.rows import StudyRow
from hpo.study import StudySpec
from tests.faults.network import Network, enter
from tests.integration.helpers import make_study, optuna_trials, stored_curve, undisturbed_curve, wait_until
from tests.postgres import PostgresServer

HOSTS = 3
LEASE = 2.0
SECONDS = 300.0
"""The most that one study may take."""
TRIAL = {"epochs": 5, "batch_size": 16, "data": {"train_limit": 400}}
LONG = {"epochs": 80, "batch_size": 8, "data": {"train_limit": 400}}


def study(name: str, cells: int, long: bool) -> StudySpec:
    """A grid of so many cells; about 0.1 s each on a free processor, or 3 s."""
    rates = [round(0.01 + 0.002 * n, 4) for n in range(cells)]
    return make_study({"grid": {"search": {"lr.peak": {"values": rates}}}}, name, LONG if long else TRIAL)


class Laboratory:
    """A server on a host of its own, behind a line of `delay` ms a round trip that loses `loss` % of what arrives."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._folder = folder
        self.network = Network(HOSTS)
        stack.callback(self.network.remove)
        enter(self.network.path("db"))
        self.server = PostgresServer(f"127.0.0.1,{self.network.address}").start()
        stack.callback(self.server.remove)
        self.server.execute("create database hosts")
        self.storage = create_storage(self.server.url("hosts"))
        stack.callback(self.storage.close)
        # Forking from a process that has torch loaded already starts a worker in milliseconds.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["hpo.worker", "hpo.cli", "hpo.study.file", "sklearn.datasets"])

    @contextmanager
    def line(self, delay: float, loss: float) -> Iterator[str]:
        """Set up the line; yields the storage URL at its other end."""
        port, file = self.server.port + 1, self._folder / "trips"
        address, target = f"{self.network.address}:{port}", f"127.0.0.1:{self.server.port}"
        proxy = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.delay", address, target, str(delay), str(file)], stdout=sys.stderr
        )
        for host in self.network.hosts:
            self.network.lose(host, loss)
        try:
            wait_until(file.exists)
            yield self.server.url("hosts", host=self.network.address).replace(f":{self.server.port}/", f":{port}/")
        finally:
            proxy.kill()
            proxy.wait()
            file.unlink()

    def trips(self) -> int:
        """Round trips over the line so far."""
        return int((self._folder / "trips").read_text())

    @contextmanager
    def workers(self, url: str, apart: bool) -> Iterator[list[BaseProcess]]:
        """One worker on each host, or all of them where the database is; they have registered."""
        before = {worker.id for worker in self.storage.ledger.workers()}
        paths = [str(self.network.path(host)) if apart else None for host in self.network.hosts]
        logs = [str(self._folder / f"{len(before) + place}.log") for place in range(HOSTS)]
        started = [self._context.Process(target=work, args=(url, *pair)) for pair in zip(logs, paths, strict=True)]
        for process in started:
            process.start()
        try:
            wait_until(lambda: len({worker.id for worker in self.storage.ledger.workers()} - before) == HOSTS)
            yield started
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.join(60.0)
                process.kill()

    def run(self, spec: StudySpec) -> tuple[StudyRow, float]:
        """Have the workers run a study to its end; the row, and the seconds it took."""
        began = time.monotonic()
        row = begin_study(self.storage, spec)
        wait_until(lambda: is_done(self.storage, row, spec), SECONDS)
        return row, time.monotonic() - began

    def said(self) -> str:
        """All logs."""
        return "\n".join(log.read_text() for log in sorted(self._folder.glob("*.log")))


def work(url: str, log: str, namespace: str | None) -> None:
    """One worker process: the command `hpo worker`, in a network namespace if one is given."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if namespace is not None:
        enter(Path(namespace))
    os.environ["HPO_STORAGE"] = url
    from hpo.cli import cli

    cli.main(["worker", "--forever", f"--lease={LEASE}", "--checkpoint-every=0.2", "--device=cpu"], prog_name="hpo")


def cut_off(laboratory: Laboratory, name: str) -> None:
    """Cut a host off in the middle of a trial until another one has taken the trial over, and heal it."""
    storage, host = laboratory.storage, laboratory.network.hosts[0]
    row, _ = find_study(storage, name)

    def held() -> dict[int, str]:
        cells = storage.ledger.cells(row.id)
        return {cell.id: str(cell.worker) for cell in cells if cell.state == "leased" and cell.epochs >= 2}

    wait_until(lambda: len(held()) == HOSTS)
    before = held()
    laboratory.network.cut(host)

    def taken_over() -> bool:
        cells = {cell.id: cell for cell in storage.ledger.cells(row.id)}
        return any(cells[cell].worker != worker and cells[cell].claims > 1 for cell, worker in before.items())

    try:
        wait_until(taken_over)
    finally:
        laboratory.network.heal(host)


def check(storage: Storage, spec: StudySpec) -> dict[str, int]:
    """Count what is not as it must be after a study."""
    row, _ = find_study(storage, spec.name)
    cells = storage.ledger.cells(row.id)
    trials = Counter(trial.user_attrs["cell"] for trial in optuna_trials(storage.url.render_as_string(False), spec))
    again = [cell for cell in cells if cell.claims > 1]
    return {
        "cells": len(cells),
        "lost": sum(cell.state != "done" or trials[cell.id] == 0 for cell in cells),
        "doubled": sum(number - 1 for number in trials.values()),
        "continued": len(again),
        "curves_differing": sum(stored_curve(storage, row, cell) != undisturbed_curve(spec, cell) for cell in again),
    }


def run(cells: int, delay: float, loss: float, cut: bool, apart: bool) -> dict[str, float]:
    """One study on hosts that are apart, or on one."""
    with tempfile.TemporaryDirectory(prefix="hpo-hosts-") as folder, ExitStack() as stack:
        laboratory = Laboratory(stack, Path(folder))
        url = stack.enter_context(laboratory.line(delay, loss))
        near = laboratory.server.url("hosts")
        spec = study("one", cells, long=cut)
        with laboratory.workers(url if apart else near, apart):
            trips = laboratory.trips()
            if cut:
                begin_study(laboratory.storage, spec)
                cut_off(laboratory, spec.name)
            _, seconds = laboratory.run(spec)
            trips = laboratory.trips() - trips
        counts = check(laboratory.storage, spec)
        tracebacks = laboratory.said().count("Traceback")
        if tracebacks:
            print(laboratory.said(), file=sys.stderr)
        return {**counts, "tracebacks": tracebacks, "seconds": round(seconds, 2), "trips_per_trial": trips / cells}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=9)
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds of a round trip")
    parser.add_argument("--loss", type=float, default=0.0, help="percent of packets")
    parser.add_argument("--cut", action="store_true", help="cut one host off for longer than its lease")
    parser.add_argument("--together", action="store_true", help="all workers where the database is")
    given = parser.parse_args()
    print(json.dumps(run(given.cells, given.delay, given.loss, given.cut, not given.together)))


if __name__ == "__main__":
    main()
