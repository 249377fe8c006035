"""What the storage hands out: rows as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo.space import Params


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One thing that must be run."""

    arm: str
    phase: str
    """search or confirm."""
    slot: int
    seed: int
    params: Params | None
    """None: the arm's sampler will propose them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as it stands in the ledger."""

    id: int
    arm: str
    phase: str
    slot: int
    seed: int
    params: Params | None
    state: str
    """planned, leased, done or failed."""
    attempts: int
    claims: int
    trial_id: int | None
    """Optuna's."""
    trial_number: int | None
    epochs: int
    seconds: float
    ended: str | None
    """finished, pruned or diverged."""
    score: float | None
    """Validation accuracy of the last epoch, 0 if diverged: what is selected by."""
    validation_loss: float | None
    validation_accuracy: float | None
    test_loss: float | None
    """Only in the confirm phase, as test_accuracy."""
    test_accuracy: float | None
    error: str | None
    worker: str | None
    started: float | None
    finished: float | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to a cell, until it runs out or is renewed: no valid token, no write."""

    cell: Cell
    study_id: int
    token: str


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One epoch of one cell."""

    cell_id: int
    epoch: int
    step: int
    train_loss: float | None
    """None: not finite, as the other losses."""
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    lr: float
    strengths: Mapping[str, float]
    gradient_norms: Mapping[str, float]
    seconds: float
    images_per_second: float


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study in the storage."""

    id: int
    name: str
    spec: str
    """JSON of hpo.study.StudySpec."""
    state: str
    """running or stopped."""
    data: str | None
    """Fingerprint of its images; None before the first worker."""
    hpo_version: str
    created: float


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker that has been seen."""

    id: str
    host: str
    pid: int
    device: str
    environment: Mapping[str, str]
    started: float
    seen: float
    ended: float | None
    alive: bool
    """Seen recently, by the database's clock, and not ended."""


@dataclass(frozen=True, slots=True)
class ArmProgress:
    """Counts of an arm's cells in one phase."""

    arm: str
    phase: str
    planned: int
    leased: int
    stale: int
    """Of the leased: those whose lease has run out."""
    done: int
    failed: int
    pruned: int
    """Of the done."""
    diverged: int
    """Of the done."""
    epochs: int
    """Spent so far, by all cells together."""
    seconds: float
    """Of training, summed over workers."""
    best: float | None
    """Highest score so far."""
