"""Learning-rate schedules: pure functions of the clock.

Every schedule has a `peak`, its highest value, so that `lr` (which schedule) and `lr.peak` (how high) can be searched
independently of each other. `restarts` and `warmup` are made of another schedule, `of`, and have its peak,
which is therefore written and searched as `lr.of.peak`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from hpo.spec import Spec
from hpo.trainers.moving.clock import Clock, Length


class Constant(Spec):
    """The learning rate is always `peak`."""

    kind: Literal["constant"] = "constant"
    moves: ClassVar[bool] = False
    peak: PositiveFloat
    """The learning rate."""

    def __call__(self, clock: Clock) -> float:
        return self.peak


class Cosine(Spec):
    """The rate falls from `peak` to `floor` along half a cosine: floor + (peak - floor) (1 + cos(pi t / T)) / 2.

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
        _check_floor(self.floor, self.peak)
        return self

    def __call__(self, clock: Clock) -> float:
        done = clock.epoch / clock.epochs if self.per == "epoch" else clock.progress
        return self.floor + (self.peak - self.floor) * (1 + math.cos(math.pi * done)) / 2


class Exponential(Spec):
    """peak x exp(-rate t), or equivalently peak x factor ^ t; t counts whole epochs or optimizer steps.

    With `rate` it is the learning rate decay of "Deep learning homework 1" (Miočić), equation 11.
    """

    kind: Literal["exponential"] = "exponential"
    peak: PositiveFloat
    """The learning rate at the beginning."""
    rate: NonNegativeFloat | None = None
    """How much the logarithm of the learning rate falls in one epoch or step; exactly one of `rate` and `factor`."""
    factor: float | None = Field(default=None, gt=0.0, le=1.0)
    """The share of the learning rate that is left after one epoch or step, for example 0.95."""
    per: Literal["epoch", "step"] = "epoch"
    """How often the value moves."""

    @model_validator(mode="after")
    def _one_speed(self) -> Self:
        if (self.rate is None) == (self.factor is None):
            raise ValueError("give exactly one of `rate` and `factor`, for example factor = 0.95")
        return self

    @property
    def counts_steps(self) -> bool:
        """Whether the number of optimizer steps decides how far it falls."""
        return self.per == "step"

    def __call__(self, clock: Clock) -> float:
        done = clock.epoch if self.per == "epoch" else clock.step
        left = math.exp(-self.rate * done) if self.rate is not None else math.pow(self.factor or 1.0, done)
        return self.peak * left


class Linear(Length):
    """(1 - a) peak + a floor with a = t / tau, and `floor` from tau on; t counts optimizer steps.

    Goodfellow, Bengio and Courville, Deep Learning (2016), equation 8.14; tau is `steps`, or the steps of `epochs`.
    """

    kind: Literal["linear"] = "linear"
    peak: PositiveFloat
    """The learning rate at the beginning."""
    floor: NonNegativeFloat = 0.0
    """The learning rate from tau on."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        _check_floor(self.floor, self.peak)
        return self

    def __call__(self, clock: Clock) -> float:
        done = min(1.0, clock.step / self.in_steps(clock))
        return (1 - done) * self.peak + done * self.floor


def _check_floor(floor: float, peak: float) -> None:
    if floor > peak:
        raise ValueError(f"floor ({floor:g}) must not exceed peak ({peak:g})")


class StageLengths(Spec):
    """Stages one after another: `factors` says how strong each is, `epochs` or `steps` how long.

    Without lengths the stages share the trial equally; the last one always lasts to the end.
    """

    factors: tuple[NonNegativeFloat, ...] = Field(min_length=1)
    """Multiples of `peak` (or of the strength), one per stage."""
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


class Restarts(Spec):
    """Warm restarts: the schedule `of` starts over in each cycle, on a clock that begins and ends with the cycle.

    Loshchilov and Hutter, SGDR (2017), there with a cosine. For `of`, a cycle is a whole trial: five equal stages last
    50 epochs each in a cycle of 250 epochs, and 20 each in one of 100.
    """

    kind: Literal["restarts"] = "restarts"
    of: Schedule
    """The schedule of one cycle; its `peak` is searched as `lr.of.peak`."""
    epochs: tuple[PositiveInt, ...] = Field(min_length=1)
    """Length of each cycle; the last one repeats, and the end of the trial cuts it off."""

    @property
    def peak(self) -> float:
        return self.of.peak

    def __call__(self, clock: Clock) -> float:
        begins = 0
        for length in self.epochs[:-1]:
            if clock.epoch < begins + length:
                break
            begins += length
        else:
            length = self.epochs[-1]
            begins += (clock.epoch - begins) // length * length
        return self.of(Clock(clock.step - begins * clock.steps_per_epoch, clock.steps_per_epoch, length))


class Warmup(Length):
    """`of`, multiplied by t / T during the first T optimizer steps: a linear rise from 0 (Goyal et al. 2017).

    `of` keeps the clock of the trial, so its stages and its end lie where they would without the warm-up.
    """

    kind: Literal["warmup"] = "warmup"
    of: Schedule
    """The schedule that follows the warm-up; its `peak` is searched as `lr.of.peak`."""

    @property
    def peak(self) -> float:
        return self.of.peak

    def __call__(self, clock: Clock) -> float:
        return self.of(clock) * min(1.0, clock.step / self.in_steps(clock))


Schedule = Annotated[Constant | Cosine | Exponential | Linear | Stages | Restarts | Warmup, Field(discriminator="kind")]
Restarts.model_rebuild()
Warmup.model_rebuild()
