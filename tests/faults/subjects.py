"""What the trials of a campaign are: nets on images, or programs."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.service import begin_study
from hpo.storage import Storage, create_storage
from hpo.storage.rows import Cell, StudyRow
from hpo.study import StudySpec
from hpo.study.file import parse
from tests.faults.habits import CALM
from tests.faults.sickness import SICKNESSES
from tests.integration.helpers import Curve, make_study, stored_curve, undisturbed_curve, work_here

ROOT = Path(__file__).parents[2]

SLOW_TRIAL = {"epochs": 16, "batch_size": 8, "data": {"train_limit": 500}}
GRID = {
    "lr.peak": {"values": [0.01, 0.02, 0.03, 0.05, 0.07, 0.1]},
    "regularizers.l2.strength": {"values": [1e-4, 3e-4, 1e-3, 3e-3]},
}

UNITS = 12
HABITS = ["", "deaf", "swallows", "fork", "session", "prints"]
ENDS = {"nan": "diverged", "fails": "failed"}
"""Habits that end a trial otherwise than finished."""

Key = tuple[str, int, int]
"""Arm, slot and seed of a cell."""


@dataclass(frozen=True)
class Expected:
    """What must have become of a cell."""

    ended: str
    curve: Curve
    may_be_pruned: bool = False
    """What a pruner decides depends on which trials are ahead, so it may end the trial or not."""

    def is_met(self, ended: str | None) -> bool:
        """Whether it may end so."""
        return ended == self.ended or (self.may_be_pruned and ended == "pruned")

    def is_curve(self, curve: Curve, ended: str | None) -> bool:
        """Whether this is its curve, or, of one that was pruned, the beginning of it."""
        return curve == (self.curve[: len(curve)] if ended == "pruned" and curve else self.curve)


def how_it_ended(cell: Cell) -> str | None:
    """In a word: finished, pruned, diverged or failed; None if it has not."""
    return "failed" if cell.state == "failed" else cell.ended


@dataclass(frozen=True)
class Subject:
    """A study that is run again and again under other names."""

    study: Callable[[str], StudySpec]
    expected: Callable[[Storage, StudyRow], dict[Key, Expected]]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of its workers, besides the storage."""
    sicknesses: Sequence[str] = tuple(SICKNESSES)
    """That keep a worker from training it."""
    are_programs: bool = False


def images(repeats: int) -> Subject:
    """Small nets, 24 cells a repeat."""

    def study(name: str) -> StudySpec:
        return make_study({"grid": {"search": GRID}}, name, SLOW_TRIAL, repeats=repeats, attempts=100)

    return Subject(study, _trained_here)


def _trained_here(storage: Storage, row: StudyRow) -> dict[Key, Expected]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        return dict(pool.map(_reference, storage.ledger.cells(row.id), chunksize=10))


def _reference(cell: Cell) -> tuple[Key, Expected]:
    return (cell.arm, cell.slot, cell.seed), Expected("finished", undisturbed_curve(images(1).study("reference"), cell))


def programs(repeats: int) -> Subject:
    """Programs with habits, 23 cells a repeat."""
    environment = {"HPO_PROGRAMS": sys.executable, "PYTHONPATH": str(ROOT)}

    of_any_trial = [sickness for sickness in SICKNESSES if sickness == "no room"]  # the others are those of images

    def undisturbed(storage: Storage, row: StudyRow) -> dict[Key, Expected]:
        return _run_undisturbed(program_study("undisturbed", repeats, pruned=False), environment)

    return Subject(lambda name: program_study(name, repeats), undisturbed, environment, of_any_trial, True)


def program_study(name: str, repeats: int, pruned: bool = True) -> StudySpec:
    """Arms of programs that speak, that end in all ways there are, and that write."""
    values = {"lr": {"kind": "cosine", "peak": 0.1}, "habit": "", "scale": 1.0}
    writer = {
        "program": f"{sys.executable} {ROOT / 'tests/faults/writer.py'} {UNITS}",
        "reports": {"file": "reports.jsonl"},
        "resume": {"file": "state"},
        "values": {"lr": 0.1},  # it reads its values once, so none may move
    }
    arms: dict[str, Any] = {
        "grid": {"search": {"values.habit": {"values": HABITS}, "values.scale": {"values": [1.0, 2.0]}}},
        "ends": {"search": {"values.habit": {"values": list(ENDS)}}},
        "pruned": {
            "trial": {"values": {"habit": "swallows"}},
            "search": {"values.scale": {"values": [1.0, 2.0, 3.0, 9.0]}},
            "pruner": {"kind": "median", "startup": 2, "warmup": 2} if pruned else {"kind": "none"},
        },
        "writes": {"trial": writer, "search": {"values.habit": {"values": ["", "deaf", "fork", "session", "prints"]}}},
    }
    trial = {
        "program": f"{sys.executable} {ROOT / 'tests/faults/speaker.py'}",
        "length": {"units": UNITS},
        "metric": {"name": "loss"},
        "values": values,
        "grace": 1.0,
    }
    return parse({"name": name, "trial": trial, "protocol": {"repeats": repeats, "attempts": 8}, "arms": arms})


def _run_undisturbed(study: StudySpec, environment: Mapping[str, str]) -> dict[Key, Expected]:
    """By one worker in this process, without habits that only disturb."""
    before = dict(os.environ)
    os.environ.update(environment, **{CALM: "1"})
    try:
        with tempfile.TemporaryDirectory(prefix="hpo-calm-") as folder:
            storage = create_storage(f"sqlite:///{folder}/calm.db")
            row = begin_study(storage, study)
            work_here(storage)
            found = {
                (cell.arm, cell.slot, cell.seed): Expected(
                    ENDS.get(str((cell.params or {}).get("values.habit")), "finished"),
                    stored_curve(storage, row, cell),
                    cell.arm == "pruned",
                )
                for cell in storage.ledger.cells(row.id)
            }
            storage.close()
            return found
    finally:
        os.environ.clear()
        os.environ.update(before)
