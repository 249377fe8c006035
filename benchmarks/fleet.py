"""How many workers one Postgres carries, and what distance costs.

    python -m benchmarks.fleet [--part scale|idle|hosts|connections] [--workers 300] [--seconds 30]

The last line is one JSON object.

scale: real workers without training, in three settings: at one report every 5 s; with short trials, as fast as they
can; and all claiming at once. The database's own processor time decides how large a fleet may be: it does not depend
on what else the machine does.
idle: the looks for work of workers that find none, while as many others are at work; and a claim, by how many open
cells of a stopped study there are.
hosts: three workers in network namespaces, a line of some milliseconds that loses packets, against three on one host.
connections: those that one real worker holds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from sqlalchemy import text

from benchmarks.simulated import TIMED, Pace, prepare, simulate
from hpo.service import begin_study
from hpo.storage import Storage, create_storage
from hpo.study import StudySpec
from hpo.worker.worker import MOST_IDLE_SECONDS
from tests.integration.helpers import Crew, make_study
from tests.postgres import PostgresServer

DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB"}
PROCESSES = 6
REPORT_SECONDS = 5.0
IDLE, STOPPED = 2_000, (0, 100_000, 500_000)
_MORE_CELLS = text(
    "insert into hpo_cell (study_id, arm, phase, slot, seed, state, attempts, claims, epochs, seconds) "
    "select :study, 'arm0', 'search', n, 0, 'planned', 0, 0, 0, 0 from generate_series(10000, 9999 + :cells) n"
)
_ALL_DONE = text("update hpo_cell set state = 'done', finished = 1 where study_id = :study and state = 'planned'")
USABLE = 0.7
"""Of a processor: beyond that, waiting grows fast."""
START_SECONDS = 0.15
"""For each simulated worker of a process."""


def study(name: str, cells: int, epochs: int) -> StudySpec:
    """At least so many cells, in arms of 1,000."""
    searched = {"lr.peak": {"values": [0.01, 0.02, 0.05, 0.1]}}
    arms = {f"arm{number}": {"search": searched} for number in range(-(-cells // 1000))}
    return make_study(arms, name, {"epochs": epochs}, repeats=250)


def scale(workers: int, seconds: float) -> dict[str, object]:
    """The three settings, each on a database of its own."""
    settings = {
        "a report every 5 s": (Pace(REPORT_SECONDS, seconds), 2 * workers, 1000),
        "trials of 10 epochs, no pause": (Pace(0.0, seconds), 40 * round(seconds) + 20 * workers, 10),
        "trials of 1 epoch, no pause": (Pace(0.0, seconds), 150 * round(seconds) + 20 * workers, 1),
    }
    server = PostgresServer(settings=DURABLE | {"max_connections": str(4 * workers + 20)}).start()
    try:
        found = {name: _measure(server, workers, *setting) for name, setting in settings.items()}
    finally:
        server.remove()
    paced = found["a report every 5 s"]
    per_report = paced["cpu_ms"] / paced["record"]["n"]
    largest = round(USABLE * 1000 / per_report * REPORT_SECONDS)
    print(f"\n{per_report:.2f} ms of the server's processor for each report, renewals and the rest included:")
    print(
        f"at {REPORT_SECONDS:g} s between reports, one core of it used to {USABLE:.0%} carries about {largest} workers"
    )
    return {"workers": workers, "cpu_ms_per_report": per_report, "workers_per_core": largest, "settings": found}


def _measure(server: PostgresServer, workers: int, pace: Pace, cells: int, epochs: int) -> dict[str, object]:
    name = f"fleet{time.monotonic_ns()}"
    server.execute(f"create database {name}")
    url = server.url(name)
    storage = create_storage(url)
    begin_study(storage, study("fleet", cells, epochs))
    storage.close()
    shares = [workers // PROCESSES + (place < workers % PROCESSES) for place in range(PROCESSES)]
    context = multiprocessing.get_context("spawn")
    ready, clock = context.Semaphore(0), context.Value("d", 0.0)
    with ProcessPoolExecutor(PROCESSES, context, initializer=prepare, initargs=(ready, clock)) as pool:
        futures = [pool.submit(simulate, url, share, pace) for share in shares]
        for _ in shares:
            ready.acquire()
        begin = clock.value = time.time() + 15.0 + START_SECONDS * workers
        time.sleep(begin - time.time())
        cpu = server_cpu(server)
        connections = server.execute("select count(*) from pg_stat_activity where application_name = 'hpo'")[0][0]
        time.sleep(pace.seconds)
        cpu = server_cpu(server) - cpu
        results = [future.result() for future in futures]
    times = {kind: sorted(value for result in results for value in result[kind]) for kind in TIMED}
    print(f"\n{workers} workers, {pace.seconds_per_epoch:g} s an epoch, {epochs} a trial, {connections} connections")
    print(f"{'':8}{'number':>8}{'per s':>9}{'p50 ms':>9}{'p99 ms':>9}")
    for kind, values in times.items():
        print(f"{kind:8}" + _row(values, pace.seconds))
    print(f"database: {cpu / pace.seconds:.2f} cores")
    counts = {
        kind: {"n": len(values), "p50_ms": _at(values, 50), "p99_ms": _at(values, 99)} for kind, values in times.items()
    }
    return {**counts, "connections": connections, "cpu_ms": 1000 * cpu, "cores": cpu / pace.seconds}


def _row(values: Sequence[float], seconds: float) -> str:
    return f"{len(values):8}{len(values) / seconds:9.1f}{_at(values, 50):9.1f}{_at(values, 99):9.1f}"


def _at(values: Sequence[float], percent: int) -> float:
    return 1000 * values[min(len(values) * percent // 100, len(values) - 1)] if values else 0.0


def server_cpu(server: PostgresServer) -> float:
    """Seconds of processor time that the server and all its processes, ended ones included, have used."""
    postmaster = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    processes = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in processes.splitlines()]
    family = [postmaster, *(pid for pid, parent in pairs if parent == postmaster)]
    ticks = 0
    for pid in family:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended: the server has its time
            continue
        ticks += sum(map(int, fields[11 : 15 if pid == postmaster else 13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def connections() -> dict[str, object]:
    """How many connections a real worker has, looked at many times in the middle of trials."""
    server = PostgresServer().start()
    try:
        server.execute("create database one")
        storage = create_storage(server.url("one"))
        arms = {"tpe": {"sampler": {"kind": "tpe"}, "search": {"lr.peak": {"low": 0.01, "high": 0.1}}}}
        row = begin_study(storage, make_study(arms, trial={"epochs": 20}, budget={"trials": 6}))
        storage.close()
        seen = []
        with tempfile.TemporaryDirectory() as folder:
            crew = Crew(server.url("one"), Path(folder))
            crew.start(lease=1.0)
            while crew.workers[0].process.poll() is None:
                query = "select count(*), count(*) filter (where state <> 'idle') from pg_stat_activity"
                seen.append(server.execute(f"{query} where application_name = 'hpo'")[0])
                time.sleep(0.02)
            crew.wait()
    finally:
        server.remove()
    open_, busy = zip(*seen, strict=True)
    found = {"most": max(open_), "median": statistics.median(open_), "busy_mean": statistics.mean(busy), "row": row.id}
    print(
        f"connections of a worker: {found['median']:g} (at most {found['most']}), {found['busy_mean']:.2f} of them busy"
    )
    return found


def idle(workers: int, seconds: float) -> dict[str, object]:
    """What a look for work costs the server, with so many workers at work on a study of 4,000 trials."""
    server = PostgresServer(settings=DURABLE).start()
    try:
        storage = _filled(server, "idle", workers, stopped=0)
        ledger = storage.ledger
        [activity] = ledger.activity()
        ledger.take_planning(activity)
        cpu, until, looks = server_cpu(server), time.monotonic() + seconds, 0
        while time.monotonic() < until:
            assert ledger.claim("idle", 60.0) is None and ledger.activity()
            looks += 1
        per_look = 1000 * (server_cpu(server) - cpu) / looks
        storage.close()
        claims = {}
        for stopped in STOPPED:
            storage = _filled(server, f"behind{stopped}", 0, stopped)
            times = []
            for _ in range(100):
                begin = time.perf_counter()
                assert storage.ledger.claim("busy", 60.0) is not None
                times.append(time.perf_counter() - begin)
            storage.close()
            claims[stopped] = 1000 * statistics.median(times)
    finally:
        server.remove()
    cores = IDLE * per_look / 1000 / (MOST_IDLE_SECONDS * 0.85)  # the mean of what a worker waits, by chance
    print(f"\na look for work, {workers} workers busy: {per_look:.2f} ms of the server's processor")
    print(f"{IDLE:,} idle workers: {cores:.2f} cores")
    for stopped, ms in claims.items():
        print(f"a claim beside {stopped:,} open trials of a stopped study: {ms:.1f} ms in the median")
    return {"cpu_ms_per_look": per_look, "cores_of_idle": cores, "idle": IDLE, "claim_ms": claims}


def _filled(server: PostgresServer, name: str, held: int, stopped: int) -> Storage:
    """A database with a study of 4,000 trials of which the first are held and the others done, or all still open
    behind the open trials of a stopped study."""
    server.execute(f"create database {name}")
    storage = create_storage(server.url(name))
    if stopped:
        row = begin_study(storage, study("stopped", 1000, 1))
        with storage.engine.begin() as connection:
            connection.execute(_MORE_CELLS, {"study": row.id, "cells": stopped})
        storage.ledger.set_state(row.id, "stopped")
    row = begin_study(storage, study("running", 4000, 1))
    for _ in range(held):
        storage.ledger.claim("busy", 3600.0)
    if held:
        with storage.engine.begin() as connection:
            connection.execute(_ALL_DONE, {"study": row.id})
    with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("analyze"))
    return storage


def hosts(rounds: int) -> dict[str, object]:
    """Round trips of a trial, and the time of a study, near and far; interleaved rounds, medians."""
    settings = [("one host", 0.0, 0.0), *((f"{delay:g} ms, 1 % lost", delay, 1.0) for delay in (2.0, 10.0, 50.0))]
    results: dict[str, list[dict[str, float]]] = {name: [] for name, *_ in settings}
    for _ in range(rounds):
        for name, delay, loss in settings:
            where = ["--together"] if delay == 0 else [f"--delay={delay}", f"--loss={loss}"]
            command = [sys.executable, "-m", "tests.faults.hosts", "--cells=24", *where]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results[name].append(json.loads(done.stdout.splitlines()[-1]))
    near = statistics.median(result["seconds"] for result in results["one host"])
    print(f"{'3 workers':20}{'seconds':>9}{'ratio':>8}{'round trips a trial':>21}")
    found = {}
    for name, runs in results.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        trips = statistics.median(run["trips_per_trial"] for run in runs)
        lost = sum(run["lost"] + run["doubled"] for run in runs)
        print(f"{name:20}{seconds:9.1f}{seconds / near:8.2f}{trips:21.1f}")
        found[name] = {"seconds": seconds, "ratio": seconds / near, "trips": trips, "lost_or_doubled": lost}
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["scale", "idle", "hosts", "connections"], action="append")
    parser.add_argument("--workers", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    parts = given.part or ["connections", "hosts", "idle", "scale"]
    found: dict[str, object] = {}
    if "connections" in parts:
        found["connections"] = connections()
    if "hosts" in parts:
        found["hosts"] = hosts(given.rounds)
    if "idle" in parts:
        found["idle"] = idle(given.workers, given.seconds)
    if "scale" in parts:
        found["scale"] = scale(given.workers, given.seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
