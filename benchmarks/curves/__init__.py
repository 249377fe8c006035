"""Recorded learning curves: thousands of trials of one net on real images, to replay a search in milliseconds.

    table = load()
    curve = table.curve(seed=0, schedule="cosine", peak=0.1, strength=1e-3, policy="hold")

How they were made is in README.md beside this file, and `about` holds the same for programs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
FILE = Path(__file__).with_name("digits.npz")
GUESSING = 0.1
"""The accuracy of guessing one of ten digits, with which a trial that diverged counts."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One trial."""

    validation: Floats
    """What a search selects by, after each epoch that it trained: the higher, the better, so a loss with its sign
    turned."""
    test: float | None
    """The same on test, after the last epoch; None if that was not measured, or if the trial diverged."""
    diverged: bool
    worst: float
    """What it counts as if it diverged."""

    @property
    def epochs(self) -> int:
        """Epochs trained, the one in which it diverged included."""
        return len(self.validation)

    @property
    def score(self) -> float:
        """What a search selects by: the last value, or the worst if the trial diverged."""
        return self.worst if self.diverged else float(self.validation[-1])


@dataclass(frozen=True, slots=True)
class Table:
    """All trials; arrays are [seed, schedule, peak, strength, policy], with the epoch last where there is one."""

    about: dict[str, Any]
    seeds: tuple[int, ...]
    schedules: tuple[str, ...]
    peaks: tuple[float, ...]
    strengths: tuple[float, ...]
    policies: tuple[str, ...]
    epochs: np.ndarray[Any, Any]
    train_right: np.ndarray[Any, Any]
    """Images classified rightly: whole numbers, so accuracies are exact."""
    validation_right: np.ndarray[Any, Any]
    validation_loss: np.ndarray[Any, Any]
    test_right: np.ndarray[Any, Any]

    @property
    def epochs_per_trial(self) -> int:
        """Epochs of a trial that does not diverge."""
        return int(self.validation_right.shape[-1])

    def curve(self, *, seed: int, schedule: str, peak: float, strength: float, policy: str) -> Curve:
        """The trial at that point; a peak or strength between two values of the table is taken for the nearest."""
        at = (
            _place(self.seeds, seed, "seed"),
            _place(self.schedules, schedule, "schedule"),
            nearest(self.peaks, peak),
            nearest(self.strengths, strength),
            _place(self.policies, policy, "policy"),
        )
        images, done = self.about["images"], int(self.epochs[at])
        diverged = bool(np.isnan(self.validation_loss[at][done - 1]))
        return Curve(
            validation=self.validation_right[at][:done] / images["validation"],
            test=None if diverged else float(self.test_right[at] / images["test"]),
            diverged=diverged,
            worst=GUESSING,
        )


def load(path: Path = FILE) -> Table:
    """The table in that file."""
    with np.load(path) as file:
        content = dict(file)
    about = json.loads(str(content.pop("about")))
    axes = {key: tuple(content.pop(key).tolist()) for key in ("seeds", "schedules", "peaks", "strengths", "policies")}
    return Table(about=about, **axes, **content)


def nearest(values: Sequence[float], wanted: float) -> int:
    """The place of the value with the nearest logarithm; 0 is near to nothing but itself."""
    if wanted <= 0.0:
        return _place(values, wanted, "value")
    return min(range(len(values)), key=lambda place: _distance(values[place], wanted))


def _distance(value: float, wanted: float) -> float:
    return math.inf if value == 0.0 else abs(math.log(value / wanted))


def _place(values: Sequence[Any], wanted: Any, what: str) -> int:
    if wanted not in values:
        raise ValueError(f"{what} {wanted!r} is not in the table, which has {', '.join(map(str, values))}")
    return values.index(wanted)
