"""Lowers the learning rate where validation no longer improves.

A schedule is a function of the clock alone, so this is none: it answers to what was measured. It multiplies what the
schedule says, and is a pure function `new state = plateau(state, validation)`, called after every epoch, so that a run
can be resumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from hpo.spec import Spec
from hpo.trainers.moving.clock import Score


@dataclass(frozen=True, slots=True)
class PlateauState:
    """What the rule remembers from epoch to epoch."""

    share: float = 1.0
    """The share of the scheduled learning rate."""
    best: float = math.inf
    """The lowest loss so far, or the lowest error rate."""
    waited: int = 0
    """Epochs since then, or since the learning rate was last lowered."""


class Plateau(Spec):
    """When validation has not improved for `patience` epochs, the learning rate is multiplied by `factor` from then
    on, and the count starts over.

    It comes on top of the schedule `lr`; with the schedule `constant` it is all that changes the rate. PyTorch's
    ReduceLROnPlateau waits one epoch longer than its `patience` says.
    """

    patience: PositiveInt
    """Epochs without an improvement."""
    factor: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Multiplies the learning rate each time."""
    metric: Literal["validation_loss", "validation_accuracy"] = "validation_loss"
    """What has to improve: the loss falls, or the accuracy rises."""
    min_delta: NonNegativeFloat = 0.0
    """How much better than the best value so far it must be to count as an improvement."""
    floor: float = Field(default=0.0, ge=0.0, lt=1.0)
    """The smallest share of the scheduled learning rate to which it is lowered."""

    def __call__(self, state: PlateauState, validation: Score) -> PlateauState:
        now = validation.loss if self.metric == "validation_loss" else 1.0 - validation.accuracy
        if now < state.best - self.min_delta:
            return PlateauState(state.share, now, 0)
        waited = state.waited + 1
        if waited < self.patience:
            return PlateauState(state.share, state.best, waited)
        return PlateauState(max(state.share * self.factor, self.floor), state.best, 0)
