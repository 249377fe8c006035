"""A fault campaign: real workers on a real Postgres, ill-treated at random, and a count of what was lost.

    python -m tests.faults.campaign --faults 200 --seed 1

Studies are run one after another while a driver injects faults (`tests.faults.kinds`): workers killed, stopped for
longer than their lease (and continued: the zombie), asked to leave, or sick; backends terminated; the server restarted,
in order and by pulling the plug, or read-only; its connections used up; other tools at work on Optuna's side; hosts cut
off the network. At the end every cell must be done exactly once, by one Optuna trial, with the very curve that
undisturbed training gives. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import TrialState

from hpo.service import begin_study, find_study, repair_study
from hpo.storage import Storage, create_storage
from hpo.storage.rows import Cell
from hpo.study import StudySpec
from tests.faults.kinds import DATABASE, LEASE, Faults, Place
from tests.faults.network import Network, NoNamespacesError, enter
from tests.faults.sickness import EXIT_CODES, SICKNESSES
from tests.integration.helpers import Curve, make_study, optuna_trials, stored_curve, undisturbed_curve
from tests.postgres import PostgresServer

WORKERS = 8
NOTHING_LEFT, STOPPED = 0, 4
"""The exit codes of a worker that found nothing to do, and of one that was asked to stop."""
HOSTS = 3
MOST_SECONDS_PER_ROUND = 600.0
PAUSE = 0.25
"""Seconds between faults, on average."""

SLOW_TRIAL = {"epochs": 16, "batch_size": 8, "data": {"train_limit": 500}}
ARMS = {
    "grid": {
        "search": {
            "lr.peak": {"values": [0.01, 0.02, 0.03, 0.05, 0.07, 0.1]},
            "regularizers.l2.strength": {"values": [1e-4, 3e-4, 1e-3, 3e-3]},
        }
    }
}


def study(name: str, repeats: int) -> StudySpec:
    """The study of one round, of 24 cells a repeat; they are the same in every round."""
    return make_study(ARMS, name, SLOW_TRIAL, repeats=repeats, attempts=100)


@dataclass
class Tally:
    """What the campaign counts."""

    faults: Counter[str] = field(default_factory=Counter)
    cells: int = 0
    done: int = 0
    lost: int = 0
    duplicated: int = 0
    orphans: int = 0
    curves_differing: int = 0
    tracebacks: int = 0
    """In the logs of workers that were not sick."""
    not_told_apart: int = 0
    """Sick workers that ended as if nothing were wrong with their machine."""
    repaired: int = 0
    """Trials that `hpo repair` has made again at the end of a round."""
    retries: int = 0
    workers_started: int = 0
    sick: Counter[str] = field(default_factory=Counter)
    """How sick workers ended, if no other fault ended them."""

    def as_json(self) -> str:
        """The result in one line."""
        counts = vars(self) | {"faults": self.faults.total(), "by_kind": dict(self.faults), "sick": dict(self.sick)}
        return json.dumps(counts)


def work(url: str, log: str, namespace: str | None, studies: list[str], sickness: str | None) -> None:
    """One worker process: the command `hpo worker`, in a network namespace if one is given, and sick if it is to be."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if namespace is not None:
        enter(Path(namespace))
    os.environ["HPO_STORAGE"] = url
    if sickness is not None:
        SICKNESSES[sickness]()
    from hpo.cli import cli

    cli.main(["worker", *studies, f"--lease={LEASE}", "--checkpoint-every=0.2", "--device=cpu"], prog_name="hpo")


class Campaign:
    """The driver of one round."""

    def __init__(self, places: list[Place], faults: Faults, folder: Path, tally: Tally) -> None:
        self._places, self._faults, self._folder, self._tally = places, faults, folder, tally
        # Forking from a process that has torch loaded already starts a worker in milliseconds.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["hpo.worker", "hpo.cli", "hpo.study.file", "sklearn.datasets"])

    def run(self, name: str, storage: Storage, most_faults: int, dice: random.Random) -> None:
        """Run one study to its end while faults are injected, at most `most_faults` of them."""
        row, _ = find_study(storage, name)
        began, injected = time.monotonic(), 0
        self._faults.name = name
        while not self._done(storage, row.id):
            if time.monotonic() - began > MOST_SECONDS_PER_ROUND:
                break
            self._staff(name)
            if injected < most_faults:
                kind = self._faults.inject(dice)
                if kind is not None:
                    self._tally.faults[kind] += 1
                    injected += 1
            time.sleep(dice.uniform(0.4, 1.6) * PAUSE)  # the pace of the faults, not a wait for anything
            self._faults.catch_up()
        self._faults.catch_up(everything=True)
        self._end(began + MOST_SECONDS_PER_ROUND)

    def _done(self, storage: Storage, study_id: int) -> bool:
        try:
            return all(not arm.planned and not arm.leased for arm in storage.ledger.progress(study_id))
        except Exception:  # one of our own faults hit the driver's connection
            return False

    def _staff(self, name: str) -> None:
        """Start a worker in every place that has none; one that was sick is followed by a healthy one."""
        for number, place in enumerate(self._places):
            if place.is_at_work:
                continue
            self._note_end(place)
            place.sickness, place.next_sickness = place.next_sickness, None
            log = f"{name}-{number}{'.sick' if place.sickness else ''}.log"
            arguments = (place.url, str(self._folder / log), place.namespace, [name], place.sickness)
            place.process = self._context.Process(target=work, args=arguments)
            place.process.start()
            self._tally.workers_started += 1

    def _note_end(self, place: Place) -> None:
        """How a sick worker ended, unless a signal ended it."""
        if place.process is None or place.sickness is None:
            return
        code = place.process.exitcode
        if code is not None and code >= 0:
            self._tally.sick[f"{place.sickness}: exit code {code}"] += 1
            self._tally.not_told_apart += code not in (*EXIT_CODES, NOTHING_LEFT, STOPPED)

    def _end(self, deadline: float) -> None:
        """Wait for the workers to leave of their own accord; those that don't are counted as orphans later."""
        for place in self._places:
            if place.process is not None:
                place.process.join(max(deadline - time.monotonic(), 60.0))
            self._note_end(place)
            place.sickness = None

    def left_behind(self) -> int:
        """Workers that are still there, ended now."""
        left = [place.process for place in self._places if place.process is not None and place.is_at_work]
        for process in left:
            process.kill()
        return len(left)


def check(storage: Storage, name: str, expected: dict[tuple[int, int], Curve], tally: Tally) -> None:
    """Count what is not as it must be after a round."""
    row, spec = find_study(storage, name)
    cells = storage.ledger.cells(row.id)
    found = optuna_trials(storage.url.render_as_string(False), spec)
    # What another tool has ended as failed stays as it was left; the cell's own trial stands beside it.
    trials = Counter(trial.user_attrs["cell"] for trial in found if trial.state is TrialState.COMPLETE)
    running = [trial for trial in found if not trial.state.is_finished()]
    tally.cells += len(cells)
    tally.done += sum(cell.state == "done" for cell in cells)
    tally.lost += sum(cell.state != "done" or trials[cell.id] == 0 for cell in cells)
    tally.duplicated += sum(trials[cell.id] > 1 for cell in cells)
    tally.orphans += len(running) + sum(cell_id not in {cell.id for cell in cells} for cell_id in trials)
    tally.curves_differing += sum(stored_curve(storage, row, cell) != expected[cell.slot, cell.seed] for cell in cells)
    tally.retries += sum(max(cell.claims - 1, 0) for cell in cells)


def _reference(cell: Cell) -> tuple[tuple[int, int], Curve]:
    return (cell.slot, cell.seed), undisturbed_curve(study("reference", repeats=1), cell)


def reference_curves(cells: list[Cell]) -> dict[tuple[int, int], Curve]:
    """(slot, seed) -> the curve of undisturbed training."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        return dict(pool.map(_reference, cells, chunksize=10))


@contextmanager
def laboratory() -> Iterator[tuple[PostgresServer, list[Place], Network | None]]:
    """A server, places for workers, and a network with hosts if the machine allows one."""
    with ExitStack() as stack:
        network = None
        listen = "127.0.0.1"
        try:
            network = Network(HOSTS)
            stack.callback(network.remove)
            enter(network.path("db"))
            listen = f"127.0.0.1,{network.address}"
        except NoNamespacesError as error:
            print(f"without cuts of the network: {error}", file=sys.stderr)
        server = PostgresServer(listen, {"max_connections": "60"}).start()
        stack.callback(server.remove)
        server.execute(f"create database {DATABASE}")
        places = [Place(server.url(DATABASE), None) for _ in range(WORKERS)]
        if network is not None:
            for place, host in zip(places, network.hosts, strict=False):
                place.url = server.url(DATABASE, host=network.address)
                place.namespace = str(network.path(host))
        yield server, places, network


def run(faults: int, seed: int, repeats: int) -> Tally:
    """Inject so many faults into as many studies as that takes."""
    dice, tally = random.Random(seed), Tally()
    with tempfile.TemporaryDirectory(prefix="hpo-faults-") as folder, laboratory() as (server, places, network):
        storage = create_storage(server.url(DATABASE))
        campaign = Campaign(places, Faults(server, places, network), Path(folder), tally)
        expected: dict[tuple[int, int], Curve] = {}
        try:
            while tally.faults.total() < faults:
                name = f"round-{tally.cells}"
                row = begin_study(storage, study(name, repeats))
                expected = expected or reference_curves(storage.ledger.cells(row.id))
                campaign.run(name, storage, faults - tally.faults.total(), dice)
                tally.repaired += sum(each.written for each in repair_study(storage, name))
                check(storage, name, expected, tally)
                print(tally.as_json(), file=sys.stderr, flush=True)
                if tally.lost:
                    break
        finally:
            tally.orphans += campaign.left_behind()
        logs = "".join(log.read_text() for log in Path(folder).glob("*.log") if ".sick" not in log.name)
        tally.tracebacks = logs.count("Traceback")
        if tally.tracebacks:
            begin = logs.index("Traceback")
            print(logs[begin : begin + 4000], file=sys.stderr)
        storage.close()
    return tally


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="of 24 cells a round")
    arguments = parser.parse_args()
    print(run(arguments.faults, arguments.seed, arguments.repeats).as_json())


if __name__ == "__main__":
    main()
