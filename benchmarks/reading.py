"""How long people wait for a large study: `hpo status`, `hpo report`, `hpo export`, and the dashboard's pages.

Fills a scratch database of each kind and times the commands as processes: wall time, and the CPU time of the process.
Run as `python -m benchmarks.reading`; the last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.large_study import NAME, fill, make_study
from hpo.storage import create_storage
from tests.postgres import PostgresServer

POLL_SECONDS = 11.0
"""The dashboard looks at a large study again when what it knows is 10 s old."""

Figures = dict[str, float]


def main() -> None:
    """Measure, and say so."""
    parser = argparse.ArgumentParser(description="Times what people wait for, on a large study.")
    parser.add_argument("--trials", type=int, default=10_000)
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
    storage = create_storage(url)
    began = time.monotonic()
    count = fill(storage, make_study(trials, epochs, arms))
    print(f"{storage}: {count} trials in {time.monotonic() - began:.0f} s", flush=True)
    storage.close()
    os.environ["HPO_STORAGE"] = url
    figures: Figures = {}
    commands = {
        "status": ["status", NAME],
        "report": ["report", NAME, "-o", str(folder / "report")],
        "export": ["export", NAME, "-o", str(folder / "export")],
    }
    for name, arguments in commands.items():
        _command(arguments, folder)  # once before, so that files lie in memory and modules are compiled
        wall, cpu = _timed(lambda given=arguments: _command(given, folder))
        figures |= _said(name, wall, cpu)
    return figures | _dashboard()


def _timed(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall time, and of CPU time in child processes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    action()
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _command(arguments: list[str], folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "hpo", *arguments], check=True, capture_output=True, cwd=folder)


def _said(name: str, wall: float, cpu: float) -> Figures:
    print(f"  {name:<28} {wall:7.2f} s   CPU {cpu:7.2f} s", flush=True)
    return {f"{name}_seconds": round(wall, 2), f"{name}_cpu_seconds": round(cpu, 2)}


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
