"""How long people and workers wait for a large study: its commands, a claim, and the dashboard's pages.

Launches the study in a scratch database of each kind, gives its trials results, and times the commands as processes:
wall time, CPU time, and the most memory that they held. Run as `python -m benchmarks.reading`; the last line of the
output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from benchmarks.large_study import NAME, fill, make_study
from hpo.report.toml import study_file
from hpo.storage import create_storage
from hpo.study import StudySpec
from tests.postgres import PostgresServer

POLL_SECONDS = 11.0
"""The dashboard looks at a large study again when what it knows is 10 s old."""

CLAIMS = 200

Figures = dict[str, float]
T = TypeVar("T")


def main() -> None:
    """Measure, and say so."""
    parser = argparse.ArgumentParser(description="Times what people wait for, on a large study.")
    parser.add_argument("--trials", type=int, default=10_000, help="at most 10,000 of an arm")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--arms", type=int, default=4, help="one Optuna study each")
    parser.add_argument("--only", choices=["sqlite", "postgres"])
    asked = parser.parse_args()
    result: dict[str, object] = {"trials": asked.trials, "epochs": asked.epochs, "arms": asked.arms}
    with tempfile.TemporaryDirectory(prefix="hpo-reading-") as folder:
        for kind, database in {"sqlite": _sqlite, "postgres": _postgres}.items():
            if asked.only in (None, kind):
                with database(Path(folder)) as url:
                    result[kind] = _measure(url, Path(folder), asked.trials, asked.epochs, asked.arms)
    print(json.dumps(result))


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/hpo.db"


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    server = PostgresServer().start()
    try:
        yield server.url()
    finally:
        server.remove()


def _measure(url: str, folder: Path, trials: int, epochs: int, arms: int) -> Figures:
    os.environ["HPO_STORAGE"] = url
    study = make_study(trials, epochs, arms)
    file = folder / "study.toml"
    file.write_text(study_file(study), encoding="utf-8")
    figures = _command("launch", ["launch-study", str(file), "--workers", "0"], folder)
    figures |= _apart(_claims, url)
    figures |= _command("stop", ["stop", NAME], folder) | _command("resume", ["resume", NAME], folder)
    _apart(_fill, url, study)
    commands = {
        "status": ["status", NAME],
        "report": ["report", NAME, "-o", str(folder / "report")],
        "export": ["export", NAME, "-o", str(folder / "export")],
    }
    for name, arguments in commands.items():
        figures |= _command(name, arguments, folder)
    return figures | _dashboard()


def _apart(action: Callable[..., T], *given: object) -> T:
    """Call it in a process of its own, so that this one stays small: a command begins as a copy of it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(action, *given).result()


def _fill(url: str, study: StudySpec) -> None:
    storage = create_storage(url)
    began = time.monotonic()
    count = fill(storage, study)
    print(f"{storage}: {count} trials filled in {time.monotonic() - began:.0f} s", flush=True)


def _claims(url: str) -> Figures:
    """What a worker waits for its next trial, while all of the study is still to do."""
    storage = create_storage(url)
    times = []
    for _ in range(CLAIMS):
        began = time.monotonic()
        claimed = storage.ledger.claim("reading", 60.0)
        times.append(1000 * (time.monotonic() - began))
        assert claimed is not None
        storage.ledger.release(claimed)
    middle, worst = statistics.median(times), sorted(times)[-1 - CLAIMS // 100]
    print(f"  {'claim':<28} {middle:7.2f} ms  p99 {worst:7.2f} ms", flush=True)
    return {"claim_ms": round(middle, 2), "claim_p99_ms": round(worst, 2)}


def _command(name: str, arguments: list[str], folder: Path) -> Figures:
    """What one command takes as a process of its own."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "hpo", *arguments], stdout=subprocess.DEVNULL, cwd=folder)
    _, status, used = os.wait4(process.pid, 0)  # in place of wait(): it says what this one child has used
    wall, process.returncode = time.monotonic() - began, os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return _said(name, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _said(name: str, wall: float, cpu: float, megabytes: float | None = None) -> Figures:
    memory = {} if megabytes is None else {f"{name}_memory_megabytes": round(megabytes)}
    held = "" if megabytes is None else f"   {megabytes:7.0f} MB"
    print(f"  {name:<28} {wall:7.2f} s   CPU {cpu:7.2f} s{held}", flush=True)
    return {f"{name}_seconds": round(wall, 2), f"{name}_cpu_seconds": round(cpu, 2)} | memory


def _dashboard() -> Figures:
    """What a browser asks for when it opens the largest study, and again at a later poll."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["dashboard", "--read-only", f"--port={port}"]
    process = subprocess.Popen([sys.executable, "-m", "hpo", *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None and process.stderr.readline().startswith("http")
    figures: Figures = {}

    def get(name: str, path: str) -> None:
        before, began = _cpu(process.pid), time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
            size = len(response.read())
        figures.update(_said(f"dashboard {name}", time.monotonic() - began, _cpu(process.pid) - before))
        figures[f"dashboard {name}_megabytes"] = round(size / 1e6, 2)

    try:
        get("studies", "/api/studies")
        get("study first", "/api/studies/1")
        time.sleep(POLL_SECONDS)
        get("study whole again", "/api/studies/1")
        time.sleep(POLL_SECONDS)
        get("study poll", "/api/studies/1?after=1000000")
        get("importances", "/api/studies/1/param_importances")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    return {name.replace(" ", "_"): value for name, value in figures.items()}


def _cpu(pid: int) -> float:
    """CPU seconds of a running process, user and system (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
