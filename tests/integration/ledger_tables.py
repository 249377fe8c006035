"""What the tables of one study hold, in dicts, for the model of the ledger; nothing here knows of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

EPOCHS = 3
"""Of each trial."""
GRID, RANDOM = "grid", "random"
POINTS = (0.001, 0.002)
"""Peaks of the learning rate that the grid arm tries."""
BUDGET = 2 * EPOCHS
"""Epochs of the random arm."""
SEEDS = 2
"""Of the one configuration per arm that is confirmed."""
ENDED, OPEN = ("done", "failed"), ("planned", "leased")

Epochs = Sequence[tuple[int, float]]
"""Epochs with their seconds."""


@dataclass(frozen=True)
class Planned:
    """A cell to be made."""

    arm: str
    phase: str
    slot: int
    seed: int
    params: dict[str, Any] | None


@dataclass
class CellModel:
    """A row of the table of cells."""

    arm: str
    phase: str
    slot: int
    seed: int
    params: dict[str, Any] | None
    state: str = "planned"
    token: str | None = None
    worker: str | None = None
    run_out: bool = False
    """Its lease, if it is leased."""
    attempts: int = 0
    claims: int = 0
    failed_by: str | None = None
    leader: int | None = None
    leader_epochs: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    ended: str | None = None
    score: float | None = None
    error: str | None = None
    reason: str | None = None
    has_started: bool = False
    has_finished: bool = False
    trial: tuple[str, int] | None = None
    """Its Optuna study and number."""


@dataclass
class TrialModel:
    """An Optuna trial."""

    cell: int
    state: str = "RUNNING"
    steps: set[int] = field(default_factory=set)
    """The epochs that were reported."""


class Tables:
    """One study with all that belongs to it."""

    def __init__(self) -> None:
        self.state = "running"
        self.reason: str | None = None
        self.cells: dict[int, CellModel] = {}
        self.curves: dict[int, dict[int, float]] = {}
        """Seconds by epoch, by cell."""
        self.checkpoints: dict[int, bytes] = {}
        self.forks: dict[tuple[int, int], bytes] = {}
        self.parts: dict[tuple[int, str], int] = {}
        """How many, by cell and name."""
        self.trials: dict[tuple[str, int], TrialModel] = {}

    def rows(self) -> dict[str, Any]:
        """All of it, to be compared with the database."""
        return {
            "study": (self.state, self.reason),
            "cells": {key: asdict(cell) for key, cell in self.cells.items()},
            "curves": {key: curve for key, curve in self.curves.items() if curve},
            "checkpoints": self.checkpoints,
            "forks": self.forks,
            "parts": self.parts,
            "trials": {key: asdict(trial) for key, trial in self.trials.items()},
        }

    def leased(self) -> list[int]:
        return [key for key, cell in self.cells.items() if cell.state == "leased"]

    def is_open(self) -> bool:
        return any(cell.state in OPEN for cell in self.cells.values())

    def forget_shared(self, key: int) -> None:
        self.forks = {place: content for place, content in self.forks.items() if place[0] != key}
        self.forget_parts(key, "shared-")

    def discard(self, kept: bytes) -> None:
        """What a checkpoint in parts was kept in."""
        _, _, named = kept.partition(b"in-parts:")
        if named:
            key, name, _ = named.decode().split("/")
            self.parts.pop((int(key), name), None)

    def has_failures(self) -> bool:
        return any(cell.state == "failed" for cell in self.cells.values())

    def forget_parts(self, key: int, use: str) -> None:
        gone = [place for place in self.parts if place[0] == key and place[1].startswith(use)]
        for place in gone:
            del self.parts[place]
