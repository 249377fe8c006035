"""What a trial costs that is a program, beyond the time that the program takes when it is started by hand.

A script without training reports so many units: through `hpo.trial()`, by lines of its output, and by lines of JSON in
a file. One worker runs so many trials of it, on SQLite, and the same script is started as often by hand. From few and
from many units follow milliseconds a trial and a report.

Run as `python -m benchmarks.programs`; the last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console
from rich.table import Table

from hpo.service import begin_study
from hpo.storage import create_storage
from hpo.study.file import parse
from hpo.worker import Worker, WorkerOptions

CLIENT = """
import hpo
trial = hpo.trial(length={units})
for unit in trial.loop():
    trial.report(validation=1 / (unit + 1))
trial.finish()
"""
LINES = """
for unit in range({units}):
    print("loss", 1 / (unit + 1), flush=True)
"""
FILE = """
import os
with open(os.environ.get("HPO_REPORTS", "/dev/null"), "a") as file:
    for unit in range({units}):
        file.write('{{"validation_loss": %f}}\\n' % (1 / (unit + 1)))
        file.flush()
"""
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "hpo.trial()": (CLIENT, {}),
    "lines of output": (LINES, {"reports": {"line": r"loss (?P<validation_loss>\S+)"}}),
    "lines of JSON": (FILE, {"reports": {"file": "reports.jsonl"}}),
}
FEW, MANY = 2, 502
"""Units of a short and of a long trial."""


def main() -> None:
    """Measure, and say so."""
    parser = argparse.ArgumentParser(description="Times what trials cost that are programs.")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    os.environ["HPO_PROGRAMS"] = sys.executable
    found: dict[str, dict[str, float]] = {}
    table = Table("milliseconds, median (lowest to highest)", "a trial, beyond the program's own", "a report")
    for name, (script, more) in WAYS.items():
        rounds = [_round(script, more, asked.trials) for _ in range(asked.rounds)]
        trials, reports = zip(*rounds, strict=True)
        table.add_row(name, _said(trials), _said(reports))
        found[name] = {"trial_ms": statistics.median(trials), "report_ms": statistics.median(reports)}
    print(f"{asked.rounds} rounds of {asked.trials} trials, one worker, SQLite")
    Console(width=110).print(table)
    print(json.dumps({name: {key: round(value, 3) for key, value in each.items()} for name, each in found.items()}))


def _said(values: tuple[float, ...]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _round(script: str, more: dict[str, Any], trials: int) -> tuple[float, float]:
    """Milliseconds of a trial and of a report, beyond those of the script started by hand."""
    beyond = {}
    for units in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "train.py"
            file.write_text(script.format(units=units))
            beyond[units] = (_by_worker(file, units, more, trials) - _by_hand(file, trials)) / trials
    report = (beyond[MANY] - beyond[FEW]) / (MANY - FEW)
    return 1000 * (beyond[FEW] - FEW * report), 1000 * report


def _by_hand(file: Path, trials: int) -> float:
    began = time.perf_counter()
    for _ in range(trials):
        subprocess.run([sys.executable, str(file)], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _by_worker(file: Path, units: int, more: dict[str, Any], trials: int) -> float:
    trial = {
        "program": f"{sys.executable} {file}",
        "length": {"units": units},
        "metric": {"name": "loss"},
        "values": {"number": 0.0},
        **more,
    }
    arm = {"search": {"values.number": {"values": [float(number) for number in range(trials)]}}}
    storage = create_storage(f"sqlite:///{file.parent / 'hpo.db'}")
    begin_study(storage, parse({"name": "cost", "trial": trial, "arms": {"only": arm}}))
    began = time.perf_counter()
    Worker(storage, [], WorkerOptions(device="cpu"), Event()).run()
    seconds = time.perf_counter() - began
    [row] = storage.ledger.studies()
    assert {"finished"} == {cell.ended for cell in storage.ledger.cells(row.id)}, "not all trials have finished"
    storage.close()
    return seconds


if __name__ == "__main__":
    main()
