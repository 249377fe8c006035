"""Policies: how the strength of a regularizer moves while a trial trains.

A policy is a pure function `new strength = policy(present strength, observation)`, called before every optimizer step.
Its only state is the strength itself, so a run can be replayed and resumed.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, model_validator

from hpo.spec import Spec
from hpo.train.clock import Duration, Observation
from hpo.train.schedules import StageLengths


class Hold(Spec):
    """The strength stays as it is: classical, fixed regularization."""

    kind: Literal["hold"] = "hold"

    def __call__(self, strength: float, observation: Observation) -> float:
        return strength


class Ramp(Spec):
    """Between the strength and `factor` times the strength, over the whole trial.

    `up` goes from strength to strength x factor, `down` the same way backwards, so both directions pass through the
    same strengths and differ in their order alone (Lu 2017, "pull-up" and "pull-down").
    """

    kind: Literal["ramp"] = "ramp"
    direction: Literal["up", "down"]
    """Whether the strength rises or falls."""
    factor: float = Field(default=10.0, gt=1.0)
    """The highest strength by the lowest."""
    shape: Literal["geometric", "linear"] = "geometric"
    """Equal factors or equal steps in equal times."""

    def __call__(self, strength: float, observation: Observation) -> float:
        progress = observation.clock.progress
        way = progress if self.direction == "up" else 1.0 - progress
        multiple = math.pow(self.factor, way) if self.shape == "geometric" else 1.0 + (self.factor - 1.0) * way
        return observation.base * multiple


class Stages(StageLengths):
    """The strength times the factor of the present stage: factors 3, 2, 1, 0 are Lu's pull-down (2017)."""

    kind: Literal["stages"] = "stages"

    def __call__(self, strength: float, observation: Observation) -> float:
        return observation.base * self.factor(observation.clock)


class FollowsLr(Spec):
    """Rises as the learning rate falls: strength x (peak lr / lr) ** power, at most `limit` times the strength.

    The idea of "Adapting Regularization with Learning Rate For Better Generalization in Neural Networks": what the
    falling learning rate takes away of its implicit regularization is given back explicitly.
    """

    kind: Literal["follows_lr"] = "follows_lr"
    power: float = 0.5
    """How closely: 0 not at all, 1 in inverse proportion; below 0 the strength falls with the learning rate."""
    limit: float = Field(default=16.0, ge=1.0)
    """The strength exceeds the stated one at most by this factor."""

    def __call__(self, strength: float, observation: Observation) -> float:
        # Compared as logarithms: the learning rate may be 0, and a power of it may be too large for a number.
        fall = math.log(observation.peak_lr / observation.lr) if observation.lr > 0 else math.inf
        exponent = self.power * fall if self.power != 0 else 0.0
        return observation.base * (self.limit if exponent >= math.log(self.limit) else math.exp(exponent))


class AccuracyGap(Spec):
    """Feedback: train accuracy well above validation accuracy raises the strength, close to it or below lowers it.

    Lu (2017): the gap is train minus validation accuracy of the last evaluation (shares, 0..1). Every `every`, a gap
    above `raise_above` multiplies the strength by `factor`, one below `lower_below` divides it. The strength stays
    between strength / limit and strength x limit.
    """

    kind: Literal["accuracy_gap"] = "accuracy_gap"
    raise_above: float = 0.05
    """Gap (share, 0..1) above which the strength rises."""
    lower_below: float = 0.01
    """Gap (share, 0..1) below which the strength falls; a negative one is allowed."""
    factor: float = Field(default=1.5, gt=1.0)
    """By which the strength rises or falls at once."""
    every: Duration = Duration(epochs=1)
    """How often the gap is looked at."""
    limit: float = Field(default=100.0, ge=1.0)
    """The strength stays within this factor of the stated one."""

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> Self:
        if self.lower_below > self.raise_above:
            raise ValueError(f"lower_below ({self.lower_below}) must not exceed raise_above ({self.raise_above})")
        return self

    def __call__(self, strength: float, observation: Observation) -> float:
        if observation.train is None or observation.validation is None:
            return strength
        if observation.clock.step % self.every.in_steps(observation.clock) != 0:
            return strength
        gap = observation.train.accuracy - observation.validation.accuracy
        if gap > self.raise_above:
            return min(strength * self.factor, observation.base * self.limit)
        if gap < self.lower_below:
            return max(strength / self.factor, observation.base / self.limit)
        return strength


Policy = Annotated[Hold | Ramp | Stages | FollowsLr | AccuracyGap, Field(discriminator="kind")]


class Governed(Spec):
    """What every regularizer has: a strength, and the policy that moves it."""

    strength: NonNegativeFloat
    """The strength as stated; the policy multiplies or replaces it as the trial goes on."""
    policy: Policy = Hold()
    """How the strength moves while the trial trains."""
