"""What a tracker is to a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Run:
    """One trial as a tracker shows it."""

    study: str
    name: str
    """The trial among those of its study: `12-hold-confirm-seed-3`."""
    key: str
    """Its identity: each worker that goes on with it gives the same, no other trial has it."""
    about: Mapping[str, Any]
    """Its arm, phase, seed and parameters."""
    so_far: Sequence[tuple[int, Mapping[str, float | None]]] = ()
    """What was measured before this worker began: it is told first, whatever was told before, so that a run which goes
    on, begins anew or shares another trial's beginning is shown as the storage has it."""


class Shown(Protocol):
    """A run that a tracker has begun."""

    def log(self, at: int, metrics: Mapping[str, float]) -> None:
        """What was measured after `at` units: finite numbers, by name."""

    def end(self, at: int, how: str, metrics: Mapping[str, float]) -> None:
        """How it ended on this worker, after `at` units (finished, pruned, diverged, failed, interrupted); scores."""


class Tracker(Protocol):
    """A place where runs are shown. Its class is made with what stands behind the colon of `--track`.

    Raises:
        ImportError: its package is missing.
        ValueError: what it was given makes no sense.
    """

    def begin(self, run: Run) -> Shown:
        """Show a trial from now on."""
