"""Learning-rate schedules: pure functions of the clock.

Every schedule has a `peak`, its highest value, so that `lr` (which schedule) and `lr.peak` (how high) can be searched
independently of each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from hpo.spec import Spec
from hpo.train.clock import Clock


class Constant(Spec):
    """`peak`, always."""

    kind: Literal["constant"] = "constant"
    peak: PositiveFloat
    """The learning rate."""

    def __call__(self, clock: Clock) -> float:
        return self.peak


class Cosine(Spec):
    """From `peak` to `floor` along half a cosine: floor + (peak - floor) (1 + cos(pi t / T)) / 2.

    Loshchilov and Hutter, SGDR (2017), equation 5, without restarts; t counts whole epochs or optimizer steps of the
    trial's T.
    """

    kind: Literal["cosine"] = "cosine"
    peak: PositiveFloat
    """The learning rate at the beginning."""
    floor: NonNegativeFloat = 0.0
    """The learning rate at the end."""
    per: Literal["epoch", "step"] = "epoch"
    """How often the value moves."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.floor > self.peak:
            raise ValueError(f"floor ({self.floor:g}) must not exceed peak ({self.peak:g})")
        return self

    def __call__(self, clock: Clock) -> float:
        done = clock.epoch / clock.epochs if self.per == "epoch" else clock.progress
        return self.floor + (self.peak - self.floor) * (1 + math.cos(math.pi * done)) / 2


class StageLengths(Spec):
    """Stages one after another: `factors` says how strong each is, `epochs` or `steps` how long.

    Without lengths the stages share the trial equally; the last one lasts to the end in any case.
    """

    factors: tuple[NonNegativeFloat, ...] = Field(min_length=1)
    """Multiples of `peak` (or of the strength), one a stage."""
    epochs: tuple[PositiveInt, ...] | None = None
    """Length of each stage, in epochs; without `epochs` and `steps` the stages share the trial equally."""
    steps: tuple[PositiveInt, ...] | None = None
    """Length of each stage, in optimizer steps."""

    @model_validator(mode="after")
    def _one_length_each(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give the stages' lengths in `epochs` or in `steps`, not in both")
        lengths = self.epochs or self.steps
        if lengths is not None and len(lengths) != len(self.factors):
            raise ValueError(f"{len(self.factors)} factors and {len(lengths)} lengths: give one length per factor")
        return self

    def factor(self, clock: Clock) -> float:
        """The factor of the stage that `clock` is in."""
        if self.epochs is not None:
            return self.factors[_stage(self.epochs, clock.epoch)]
        if self.steps is not None:
            return self.factors[_stage(self.steps, clock.step)]
        return self.factors[min(clock.step * len(self.factors) // clock.total_steps, len(self.factors) - 1)]


def _stage(lengths: Sequence[int], done: int) -> int:
    ended = sum(done >= end for end in accumulate(lengths))
    return min(ended, len(lengths) - 1)


class Stages(StageLengths):
    """`peak` times the factor of the present stage, for example 1, 0.1, 0.01 for 50 epochs each."""

    kind: Literal["stages"] = "stages"
    peak: PositiveFloat
    """The learning rate of a stage with the factor 1."""

    @model_validator(mode="after")
    def _at_most_the_peak(self) -> Self:
        if max(self.factors) > 1.0:
            raise ValueError(f"factors are shares of the peak, at most 1, not {max(self.factors):g}")
        return self

    def __call__(self, clock: Clock) -> float:
        return self.peak * self.factor(clock)


Schedule = Annotated[Constant | Cosine | Stages, Field(discriminator="kind")]
