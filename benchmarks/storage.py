"""What a trial costs without its training, beside other programs: the same study without work in each of them.

    python -m benchmarks.storage [--quick]

Trials of 20 epochs, four parameters, TPE, a report at every epoch, pruning that is asked and never says yes, so that
all trials are equally long. hpo runs its real worker, `fit` alone replaced by a function that returns at once. Optuna
is run as its documentation says, on the same server. Each measurement has a database of its own, copied from one that
holds finished trials. Rounds alternate between the programs; figures are medians. The last line is one JSON object.

gRPC, Ray Tune and Syne Tune are run by the interpreter HPO_BENCH_PEERS (this one, if not given), as far as it has them;
in a network namespace of their own, for Ray listens on all addresses.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any
from unittest.mock import patch

import psycopg2

from benchmarks.large_study import fill
from benchmarks.peers import EPOCHS, SHAPES, accuracy
from hpo.storage import create_storage, open_storage
from hpo.storage.optuna.studies import study_name
from hpo.study import StudySpec
from hpo.study.file import parse
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.moving.clock import Score
from hpo.trainers.trainer import Identity, Result, Trial
from tests.postgres import PostgresServer

PEERS = os.environ.get("HPO_BENCH_PEERS", sys.executable)
NAME, ARM = "storage", "arm"
FURTHER = 3_000
"""Trials that are left to be run."""
MOST, LAST = 9_900, 9_990
"""An arm has at most 10,000 trials."""
ROUNDS = 3
TRIALS = {"optuna": 50, "grpc": 25}
"""Measured at a time; 300 of hpo."""
CLAIMANTS, THINKING = 64, 1.0
"""Claimants, and the seconds that each trains its cell, on average, before it claims the next."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one measurement."""

    per_second: float
    worker_cpu: float
    """Milliseconds per trial."""
    server_cpu: float
    """Milliseconds per trial."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a trial costs without its training.")
    parser.add_argument("--quick", action="store_true", help="fewer workers and sizes, and only Optuna beside hpo")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        _work(*asked.worker)
        return
    durable = {"fsync": "on", "full_page_writes": "on", "log_line_prefix": "%d|", "shared_buffers": "256MB"}
    server = PostgresServer(settings=durable).start()
    try:
        result = Bench(server, quick=asked.quick).run()
    finally:
        server.remove()
    print(json.dumps(result))


# hpo's worker without training


def make_study(finished: int, sampler: str) -> StudySpec:
    """One arm, `finished` trials and further ones."""
    return parse(
        {
            "name": NAME,
            "trial": {
                "epochs": EPOCHS,
                "batch_size": 32,
                "data": {"kind": "digits"},
                "model": {"kind": "mlp", "hidden": [8]},
                "optimizer": {"kind": "sgd", "momentum": 0.9},
                "lr": {"kind": "cosine", "peak": 0.1},
                "regularizers": {"l2": {"kind": "l2", "strength": 1e-3}},
            },
            "protocol": {
                "budget": {"trials": min(finished + FURTHER, 10_000)},
                "pruner": {"kind": "median", "warmup": 4, "every": 4},
            },
            "arms": {
                ARM: {
                    "sampler": {"kind": sampler},
                    "search": {
                        "lr.peak": {"low": 0.01, "high": 0.5, "log": True},
                        "regularizers.l2.strength": {"low": 1e-5, "high": 1e-1, "log": True},
                        "optimizer.momentum": {"low": 0.01, "high": 0.99},
                        "lr.kind": {"values": list(SHAPES)},
                    },
                }
            },
        }
    )


def instant(_: object, trial: Trial) -> Result:
    """A curve without training, in place of the image trainer's `run`."""
    for epoch in range(1, trial.config.epochs + 1):
        score = Score(1 / epoch, accuracy(epoch))
        evaluation = Evaluation(epoch, 10 * epoch, score, score, 0.1, {"l2": 1e-3}, {}, 0.01, 1000.0)
        if not trial.report(evaluation.reported(), lambda: b""):
            return Result(finished=False)
    return Result(finished=True)


def _work(url: str, together: str) -> None:
    from hpo.trainers.images.trainer import ImageTrainer
    from hpo.worker import Worker, WorkerOptions, reporter

    options = WorkerOptions(device="cpu", checkpoint_seconds=3600.0)
    at_once = patch.object(ImageTrainer, "run", instant)
    no_images = patch.object(ImageTrainer, "identity", lambda *arguments: Identity("", "", ""))
    flushed = patch.object(reporter, "FLUSH_SECONDS", float(together))
    with at_once, no_images, flushed:
        worker = Worker(open_storage(url), [NAME], options, Event())
        print("ready", flush=True)
        sys.stdin.readline()
        worker.run()


# Measuring


@dataclass(frozen=True, slots=True)
class Database:
    """Of one measurement. It is counted in over one connection, for to make one costs as much as a trial."""

    name: str
    url: str
    connection: Any

    def finished(self) -> int:
        """How many trials are."""
        with self.connection.cursor() as cursor:
            cursor.execute(COUNTING)
            return int(cursor.fetchone()[0])


class Bench:
    """One server, the studies on it, and what was measured."""

    def __init__(self, server: PostgresServer, quick: bool) -> None:
        self._server, self._quick = server, quick
        self._templates: dict[tuple[int, str], str] = {}

    def run(self) -> dict[str, float]:
        """All of it."""
        version = self._server.execute("show server_version")[0][0]
        print(f"Postgres {version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {ROUNDS} rounds")
        counted = self._count_statements()
        speed = self._throughput()
        growth = self._growth()
        claims = self._claims()
        return {
            "statements_per_trial": counted["hpo short"][0],
            "statements_per_trial_of_long_epochs": counted["hpo"][0],
            "optuna_statements_per_trial": counted["optuna"][0],
            "vs_optuna_8_workers": round(speed["hpo short", 8].per_second / speed["optuna", 8].per_second, 1),
            "growth": round(growth, 2),
            "claim_p99_ms": round(claims, 2),
        }

    def _count_statements(self) -> dict[str, tuple[float, float]]:
        """Statements, and messages to the server with BEGIN and COMMIT, per trial: all that the server has logged."""
        counted = {}
        for kind in ("hpo", "hpo short", "optuna"):
            with self._database(100, "tpe") as database:
                counted[kind] = few, many = self._logged(database, kind, 30)
            print(f"{kind:<10} {few:6.1f} statements, {many:6.1f} messages per trial", flush=True)
        print("hpo short: epochs written together, as they are when they take less than half a second")
        return counted

    def _logged(self, database: Database, kind: str, trials: int) -> tuple[float, float]:
        """Statements and messages of one worker, from the making of one trial to that of the next, on average."""
        self._server.execute(f"alter database {database.name} set log_statement = 'all'")
        log = self._server.folder / "log"
        start, before = log.stat().st_size, database.finished()
        with self._workers(kind, database, 1) as running:
            while database.finished() - before < trials:
                _check(running)
                time.sleep(0.05)
        lines = log.read_bytes()[start:].decode().split(f"{database.name}|")
        sent = [line.removeprefix(LOGGED).strip() for line in lines if line.startswith(LOGGED)]
        made = [place for place, line in enumerate(sent) if "insert into trials " in line.lower()]
        sent = sent[made[5] : made[-1]]  # among the first there are the statements with which the worker starts
        bare = sum(line not in ("BEGIN", "COMMIT", "ROLLBACK") for line in sent)
        twice = sum("for update;" in line for line in sent)  # two statements in one message
        return round((bare + twice) / (len(made) - 6), 1), round(len(sent) / (len(made) - 6), 1)

    def _throughput(self) -> dict[tuple[str, int], Cost]:
        kinds = ["hpo short", "hpo", "optuna"]
        if not self._quick and _has("grpc"):
            kinds.append("grpc")
        elif not self._quick:
            print("grpc: skipped, grpcio is not installed (HPO_BENCH_PEERS)")
        measured: defaultdict[tuple[str, int], list[Cost]] = defaultdict(list)
        workers = (1, 8) if self._quick else (1, 2, 4, 8)
        for _ in range(ROUNDS):
            for count in workers:
                for kind in kinds:
                    measured[kind, count].append(self._measure(kind, count, 100, "tpe"))
        if not self._quick:
            for kind in ("ray", "syne"):
                for count in workers if _has({"ray": "ray.tune", "syne": "syne_tune"}[kind]) else ():
                    if cost := _other(kind, count):
                        measured[kind, count].append(cost)
                if not measured[kind, 8]:
                    print(f"{kind}: skipped, it is not installed or does not run here (HPO_BENCH_PEERS)")
        medians = {key: _medians(costs) for key, costs in measured.items() if costs}
        print("\n100 finished trials; trials/s with so many workers; CPU ms per trial of workers + server")
        for kind in dict.fromkeys(kind for kind, _ in medians):
            row = [f"{cost.per_second:7.2f} ({cost.worker_cpu:.0f} + {cost.server_cpu:.0f})"
                   for count in workers if (cost := medians.get((kind, count)))]  # fmt: skip
            print(f"{kind:<10} {'  '.join(row)}", flush=True)
        return medians

    def _growth(self) -> float:
        """CPU per trial at the most finished trials over that at the fewest, without what TPE computes."""
        sizes = (100, MOST) if self._quick else (100, 1000, 3000, MOST)
        measured: defaultdict[tuple[str, str, int], list[Cost]] = defaultdict(list)
        kinds = [("hpo short", "random"), *([] if self._quick else [("hpo short", "tpe"), ("optuna", "tpe")])]
        for round_ in range(ROUNDS):
            for kind, sampler in kinds:
                for size in sizes if kind != "optuna" or round_ == 0 else ():  # Optuna's takes long
                    measured[kind, sampler, size].append(self._measure(kind, 1, size, sampler))
        print(f"\nCPU ms per trial, one worker, {', '.join(map(str, sizes))} finished trials (workers + server)")
        totals = {}
        for kind, sampler in kinds:
            costs = [_medians(measured[kind, sampler, size]) for size in sizes]
            totals[kind, sampler] = [cost.worker_cpu + cost.server_cpu for cost in costs]
            shown = "  ".join(f"{cost.worker_cpu:6.1f} + {cost.server_cpu:4.1f}" for cost in costs)
            print(
                f"{kind:<10} {sampler:<7} {shown}   growth {totals[kind, sampler][-1] / totals[kind, sampler][0]:.2f}"
            )
        return totals["hpo short", "random"][-1] / totals["hpo short", "random"][0]

    def _claims(self) -> float:
        """The 99th percentile of a claim in milliseconds, while all claimants claim a cell now and then."""
        with self._database(100, "tpe") as database:
            url, processes, length = database.url, 4, 6.0
            command = [sys.executable, "-c", CLAIM, url, str(CLAIMANTS // processes), str(length), str(THINKING)]
            running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
            times = sorted(float(line) for process in running for line in (process.communicate()[0] or "").split())
        p99 = 1000 * times[int(0.99 * len(times))]
        print(f"\n{len(times)} claims by {CLAIMANTS} claimants: median {1000 * median(times):.2f} ms, p99 {p99:.2f} ms")
        return p99

    def _measure(self, kind: str, workers: int, finished: int, sampler: str) -> Cost:
        """The cost of as many trials as make no great difference to the number of those finished."""
        with self._database(finished, sampler) as database, self._workers(kind, database, workers) as running:
            pids = [process.pid for process in running]

            def until(count: int) -> tuple[int, float, float, float]:
                while (done := database.finished()) < count:
                    _check(running)
                    time.sleep(0.05)
                return done, time.monotonic(), sum(map(_cpu, pids)), self._server_cpu()

            first = until(database.finished() + 2 * workers)  # all have read the study
            few = TRIALS.get(kind, 300) // (2 if self._quick else 1)
            last = until(min(first[0] + few, LAST))
        trials, length, used, served = (after - before for before, after in zip(first, last, strict=True))
        return Cost(trials / length, 1000 * used / trials, 1000 * served / trials)

    @contextmanager
    def _workers(self, kind: str, database: Database, count: int) -> Any:
        url, name = database.url, study_name(NAME, ARM, "search")
        peers = [PEERS, str(Path(__file__).parent / "peers.py")]
        proxy = []
        if kind == "grpc":
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = str(free.getsockname()[1])
            proxy = [_start([*peers, "proxy", url, port])]
        commands = {
            "hpo": [sys.executable, "-m", "benchmarks.storage", "--worker", url, "0"],
            "hpo short": [sys.executable, "-m", "benchmarks.storage", "--worker", url, "0.5"],
            "optuna": [sys.executable, *peers[1:], "optuna", url, name],
            "grpc": [*peers, "grpc", port if proxy else "", name],
        }
        running = [*proxy, *(_start(commands[kind]) for _ in range(count))]
        try:
            for process in running[len(proxy) :]:
                assert process.stdout is not None
                process.stdout.readline()  # it is ready
            for process in running[len(proxy) :]:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            yield running
            _check(running)
        finally:
            for process in running:
                process.kill()
                process.communicate()

    @contextmanager
    def _database(self, finished: int, sampler: str) -> Any:
        if (finished, sampler) not in self._templates:
            self._templates[finished, sampler] = self._fill(finished, sampler)
        name = f"b{random.randrange(10**9)}"
        template = self._templates[finished, sampler]
        self._server.execute(f"create database {name} template {template} strategy file_copy")
        url = self._server.url(name)
        connection = psycopg2.connect(url.replace("+psycopg2", ""))
        connection.autocommit = True
        try:
            yield Database(name, url, connection)
        finally:
            self._server.execute(f"drop database {name} with (force)")
            connection.close()

    def _fill(self, finished: int, sampler: str) -> str:
        """A database with a study that has so many finished trials, and further ones to be run."""
        name = f"filled_{sampler}_{finished}"
        self._server.execute(f"create database {name}")
        storage = create_storage(self._server.url(name))
        from hpo.service import begin_study

        study = make_study(finished, sampler)
        begin_study(storage, study)
        with storage.engine.begin() as connection:
            connection.exec_driver_sql(f"update hpo_cell set state = 'later' where slot >= {finished}")
        fill(storage, study)
        with storage.engine.begin() as connection:
            connection.exec_driver_sql("update hpo_cell set state = 'planned' where state = 'later'")
            connection.exec_driver_sql("update hpo_study set state = 'running'")
            connection.exec_driver_sql("select setval('trials_trial_id_seq', (select max(trial_id) from trials))")
        storage.close()
        return name

    def _server_cpu(self) -> float:
        """Of the server and all its processes, those that have ended too."""
        assert self._server._process is not None
        parent = self._server._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return _cpu(parent, ended=True) + sum(_cpu(int(pid)) for pid in children)


COUNTING = "select count(*) from trials where state in ('COMPLETE', 'PRUNED')"
LOGGED = "LOG:  statement: "
CLAIM = """
import random, sys, time
from concurrent.futures import ThreadPoolExecutor
from hpo.storage import open_storage
url, claimants, length, thinking = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
def claims(number):
    storage, chance, times = open_storage(url), random.Random(number), []
    storage.pre_ping.after_seconds = 60.0
    storage.ledger.claim('warm', 600.0)
    began = time.monotonic()
    while time.monotonic() < began + length:
        time.sleep(chance.expovariate(1 / thinking))
        start = time.perf_counter()
        lease = storage.ledger.claim(str(number), 600.0)
        times.append(time.perf_counter() - start)
        assert lease is not None
    return times
with ThreadPoolExecutor(claimants) as threads:
    for times in threads.map(claims, range(claimants)):
        print(*times, sep='\\n')
"""


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def _check(running: Sequence[subprocess.Popen[str]]) -> None:
    """Workers go on until they are killed."""
    for process in running:
        if process.poll() is not None:
            raise RuntimeError(f"a worker has ended: {process.communicate()[1][-2000:]}")


def _has(module: str) -> bool:
    command = [PEERS, "-c", f"import importlib; importlib.import_module({module!r})"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _other(kind: str, workers: int) -> Cost | None:
    """Ray Tune or Syne Tune, which keep their own books; None if it fails, or if there can be no namespace."""
    trials = {"ray": 24, "syne": 16}[kind]
    peer = f"ip link set lo up; exec {PEERS} {Path(__file__).parent / 'peers.py'} {kind} {workers} {trials}"
    if shutil.which("unshare") is None:
        return None
    try:
        done = subprocess.run(
            ["unshare", "-n", "sh", "-c", peer], capture_output=True, text=True, timeout=600, check=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    per_second, cpu = map(float, done.stdout.split()[-2:])
    return Cost(per_second, 1000 * cpu, 0.0)


def _medians(costs: Sequence[Cost]) -> Cost:
    columns = zip(*((cost.per_second, cost.worker_cpu, cost.server_cpu) for cost in costs), strict=True)
    return Cost(*map(median, columns))


def _cpu(pid: int, ended: bool = False) -> float:
    """CPU seconds of a process, and of its children that have ended (proc(5), fields 14 to 17)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11 : 15 if ended else 13])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
