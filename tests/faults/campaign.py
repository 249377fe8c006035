"""A fault campaign: real workers on a real Postgres, ill-treated at random, and a count of what was lost.

    python -m tests.faults.campaign --faults 200 --seed 1

Studies are run one after another while a driver injects faults: workers killed, stopped for longer than their lease
(and continued: the zombie), asked to leave; backends terminated; the server restarted, in order and by pulling the
plug; its connections used up; hosts cut off the network. At the end every cell must be done exactly once, by one
Optuna trial, with the very curve that undisturbed training gives. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import psycopg2
from optuna.trial import TrialState

from hpo.service import begin_study, find_study
from hpo.storage import Storage, create_storage
from hpo.storage.rows import Cell
from hpo.study import StudySpec
from tests.faults.network import Network, NoNamespacesError, enter
from tests.integration.helpers import Curve, make_study, optuna_trials, stored_curve, undisturbed_curve
from tests.postgres import PostgresServer

LEASE = 2.0
WORKERS = 8
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
    retries: int = 0
    seconds_trained_again: float = 0.0
    workers_started: int = 0

    def as_json(self) -> str:
        """The result in one line."""
        counts = vars(self) | {"faults": self.faults.total(), "by_kind": dict(self.faults)}
        return json.dumps(counts | {"seconds_trained_again": round(self.seconds_trained_again, 1)})


def work(url: str, log: str, namespace: str | None, studies: list[str]) -> None:
    """One worker process: the command `hpo worker`, in a network namespace if one is given."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if namespace is not None:
        enter(Path(namespace))
    os.environ["HPO_STORAGE"] = url
    from hpo.cli import cli

    cli.main(["worker", *studies, f"--lease={LEASE}", "--checkpoint-every=0.2", "--device=cpu"], prog_name="hpo")


@dataclass
class Place:
    """Where one of the workers runs."""

    url: str
    namespace: str | None
    process: BaseProcess | None = None


class Campaign:
    """The driver of one round."""

    def __init__(self, server: PostgresServer, places: list[Place], network: Network | None, folder: Path) -> None:
        self._server, self._places, self._network, self._folder = server, places, network, folder
        # Forking from a process that has torch loaded already starts a worker in milliseconds.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["hpo.worker", "hpo.cli", "hpo.study_file", "sklearn.datasets"])
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._stopped: set[int] = set()

    def run(self, name: str, storage: Storage, most_faults: int, dice: random.Random, tally: Tally) -> None:
        """Run one study to its end while faults are injected, at most `most_faults` of them."""
        row, _ = find_study(storage, name)
        began, injected = time.monotonic(), 0
        while not self._done(storage, row.id):
            if time.monotonic() - began > MOST_SECONDS_PER_ROUND:
                break
            self._staff(name, tally)
            if injected < most_faults:
                kind = self._inject(dice)
                if kind is not None:
                    tally.faults[kind] += 1
                    injected += 1
            time.sleep(dice.uniform(0.4, 1.6) * PAUSE)  # the pace of the faults, not a wait for anything
            self._catch_up()
        self._catch_up(everything=True)
        self._end(began + MOST_SECONDS_PER_ROUND)

    def _done(self, storage: Storage, study_id: int) -> bool:
        try:
            return all(not arm.planned and not arm.leased for arm in storage.ledger.progress(study_id))
        except Exception:  # one of our own faults hit the driver's connection
            return False

    def _staff(self, name: str, tally: Tally) -> None:
        """Start a worker in every place that has none."""
        for number, place in enumerate(self._places):
            if place.process is None or not place.process.is_alive():
                log = str(self._folder / f"{name}-{number}.log")
                place.process = self._context.Process(target=work, args=(place.url, log, place.namespace, [name]))
                place.process.start()
                tally.workers_started += 1

    def _inject(self, dice: random.Random) -> str | None:
        kinds: dict[str, tuple[int, Callable[[random.Random], bool]]] = {
            "kill": (4, lambda dice: self._signal(dice, signal.SIGKILL)),
            "terminate": (3, lambda dice: self._signal(dice, signal.SIGTERM)),
            "stop": (3, self._stop),
            "backend": (6, self._terminate_backend),
            "restart": (1, lambda dice: self._restart(signal.SIGINT)),
            "crash": (1, lambda dice: self._restart(signal.SIGQUIT)),
            "connections": (1, self._use_up_connections),
            "cut": (2 if self._network else 0, self._cut),
        }
        [kind] = dice.choices(list(kinds), [weight for weight, _ in kinds.values()])
        try:
            return kind if kinds[kind][1](dice) else None
        except psycopg2.OperationalError:  # an earlier fault keeps the driver out as well
            return None

    def _running(self) -> list[int]:
        pids = [place.process.pid for place in self._places if place.process is not None and place.process.is_alive()]
        return [pid for pid in pids if pid is not None and pid not in self._stopped]

    def _signal(self, dice: random.Random, number: signal.Signals) -> bool:
        pids = self._running()
        if pids:
            _kill(dice.choice(pids), number)
        return bool(pids)

    def _stop(self, dice: random.Random) -> bool:
        pids = self._running()
        if len(pids) < WORKERS // 2:
            return False
        pid = dice.choice(pids)
        self._stopped.add(pid)
        _kill(pid, signal.SIGSTOP)

        def go_on() -> None:
            self._stopped.discard(pid)
            _kill(pid, signal.SIGCONT)

        self._after(LEASE * dice.uniform(1.2, 2.5), go_on)
        return True

    def _terminate_backend(self, dice: random.Random) -> bool:
        found = self._server.execute("select pid from pg_stat_activity where application_name = 'hpo'")
        if found:
            [pid] = dice.choice(found)
            self._server.execute(f"select pg_terminate_backend({pid})")
        return bool(found)

    def _restart(self, how: signal.Signals) -> bool:
        self._server.restart(how)
        return True

    def _use_up_connections(self, dice: random.Random) -> bool:
        taken = []
        try:
            while True:
                taken.append(psycopg2.connect(self._server.url().replace("+psycopg2", "")))
        except psycopg2.OperationalError:
            pass

        def give_back() -> None:
            for connection in taken:
                connection.close()

        self._after(dice.uniform(0.2, 1.0), give_back)
        return True

    def _cut(self, dice: random.Random) -> bool:
        assert self._network is not None
        network, host = self._network, dice.choice(self._network.hosts)
        network.cut(host)
        self._after(LEASE * dice.uniform(0.5, 2.0), lambda: network.heal(host))
        return True

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, action))

    def _catch_up(self, everything: bool = False) -> None:
        """End those faults whose time has come."""
        due = [item for item in self._later if everything or item[0] <= time.monotonic()]
        self._later = [item for item in self._later if item not in due]
        for _, action in due:
            action()

    def _end(self, deadline: float) -> None:
        """Wait for the workers to leave of their own accord; those that don't are counted as orphans later."""
        for place in self._places:
            if place.process is not None:
                place.process.join(max(deadline - time.monotonic(), 60.0))

    def left_behind(self) -> int:
        """Workers that are still there, ended now."""
        left = [place.process for place in self._places if place.process is not None and place.process.is_alive()]
        for process in left:
            process.kill()
        return len(left)


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def check(storage: Storage, name: str, expected: dict[tuple[int, int], Curve], tally: Tally) -> None:
    """Count what is not as it must be after a round."""
    row, spec = find_study(storage, name)
    cells = storage.ledger.cells(row.id)
    trials = Counter(trial.user_attrs["cell"] for trial in optuna_trials(storage.url.render_as_string(False), spec))
    running = [
        trial
        for trial in optuna_trials(storage.url.render_as_string(False), spec)
        if trial.state is not TrialState.COMPLETE
    ]
    tally.cells += len(cells)
    tally.done += sum(cell.state == "done" for cell in cells)
    tally.lost += sum(cell.state != "done" or trials[cell.id] == 0 for cell in cells)
    tally.duplicated += sum(trials[cell.id] > 1 for cell in cells)
    tally.orphans += len(running) + sum(cell_id not in {cell.id for cell in cells} for cell_id in trials)
    tally.curves_differing += sum(stored_curve(storage, row, cell) != expected[cell.slot, cell.seed] for cell in cells)
    tally.retries += sum(max(cell.claims - 1, 0) for cell in cells)
    recorded = sum(point.seconds for point in storage.ledger.curves(row.id))
    tally.seconds_trained_again += max(0.0, sum(cell.seconds for cell in cells) - recorded)


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
        server.execute("create database faults")
        places = [Place(server.url("faults"), None) for _ in range(WORKERS)]
        if network is not None:
            for place, host in zip(places, network.hosts, strict=False):
                place.url = server.url("faults", host=network.address)
                place.namespace = str(network.path(host))
        yield server, places, network


def run(faults: int, seed: int, repeats: int) -> Tally:
    """Inject so many faults into as many studies as that takes."""
    dice, tally = random.Random(seed), Tally()
    with tempfile.TemporaryDirectory(prefix="hpo-faults-") as folder, laboratory() as (server, places, network):
        storage = create_storage(server.url("faults"))
        campaign = Campaign(server, places, network, Path(folder))
        expected: dict[tuple[int, int], Curve] = {}
        while tally.faults.total() < faults:
            name = f"round-{tally.cells}"
            row = begin_study(storage, study(name, repeats))
            expected = expected or reference_curves(storage.ledger.cells(row.id))
            campaign.run(name, storage, faults - tally.faults.total(), dice, tally)
            check(storage, name, expected, tally)
            print(tally.as_json(), file=sys.stderr, flush=True)
            if tally.lost:
                break
        tally.orphans += campaign.left_behind()
        logs = "".join(log.read_text() for log in Path(folder).glob("*.log"))
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
