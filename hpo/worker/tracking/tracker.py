"""What a tracker is to a worker."""

from __future__ import annotations

from collections.abc import Mapping
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
    begin: int
    """Units that were done when this worker began; what was told of later ones before is told again."""


class Shown(Protocol):
    """A run that a tracker has begun."""

    def log(self, at: int, metrics: Mapping[str, float]) -> None:
        """What was measured after `at` units: finite numbers, by name."""

    def end(self, how: str, metrics: Mapping[str, float]) -> None:
        """How it ended on this worker (finished, pruned, diverged, failed, interrupted), and scores of its end."""


class Tracker(Protocol):
    """A place where runs are shown. Its class is made with what stands behind the colon of `--track`.

    Raises:
        ImportError: its package is missing.
        ValueError: what it was given makes no sense.
    """

    def begin(self, run: Run) -> Shown:
        """Show a trial from now on."""
