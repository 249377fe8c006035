"""Policies: how the strength of a regularizer moves while a trial trains.

A policy is a pure function `new strength = policy(present strength, observation)`, called before every optimizer step.
Its only state is the strength itself, so a run can be replayed and resumed.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, StringConstraints, model_validator

from hpo.spec import Spec
from hpo.trainers.moving.clock import Clock, Duration, Observation
from hpo.trainers.moving.schedules import StageLengths


class Hold(Spec):
    """The strength stays as it is: classical, fixed regularization."""

    kind: Literal["hold"] = "hold"
    moves: ClassVar[bool] = False

    def __call__(self, strength: float, observation: Observation) -> float:
        return strength


class Ramp(Spec):
    """The strength moves between its stated value and `factor` times that value, over the whole trial.

    `up` goes from strength to strength x factor, `down` goes the same way backwards, so both directions pass through
    the same strengths and differ only in their order (Lu 2017, "pull-up" and "pull-down"). With `to` it goes from the
    strength to `to` times the strength instead; `to` may be 0.
    """

    kind: Literal["ramp"] = "ramp"
    direction: Literal["up", "down"]
    """Whether the strength rises or falls."""
    factor: float = Field(default=10.0, gt=1.0)
    """The ratio of the highest strength to the lowest."""
    to: NonNegativeFloat | None = None
    """Where it ends, as a multiple of the strength, instead of `factor`: below 1 for `down`, above 1 for `up`; 0 only
    with a shape other than geometric."""
    shape: Literal["geometric", "linear", "cosine", "steps"] = "geometric"
    """Equal factors ("geometric") or equal steps ("linear") in equal times, half a cosine ("cosine", slow at both
    ends), or `levels` equally spaced strengths for equal times ("steps")."""
    levels: int = Field(default=4, ge=2)
    """The number of strengths of the shape "steps"; the other shapes move at every optimizer step."""

    @model_validator(mode="after")
    def _ends_where_it_goes(self) -> Self:
        if self.to is None:
            return self
        if self.factor != type(self).model_fields["factor"].default:
            raise ValueError("give `to` or `factor`, not both")
        if self.to == 1 or (self.to > 1) != (self.direction == "up"):
            raise ValueError(f"to = {self.to:g} is not {self.direction}: below 1 for down, above 1 for up")
        if self.to == 0 and self.shape == "geometric":
            raise ValueError('to = 0 is never reached by equal factors: give shape = "linear", "cosine" or "steps"')
        return self

    def __call__(self, strength: float, observation: Observation) -> float:
        end = self.factor if self.to is None else self.to
        if self.shape == "geometric":
            return observation.base * math.pow(end, self._way(observation.clock))
        return observation.base * (1.0 + (end - 1.0) * self._way(observation.clock))

    def _way(self, clock: Clock) -> float:
        """How far it is from the strength: 0 there, 1 at the other end."""
        if self.shape == "steps":
            level = min(clock.step * self.levels // clock.total_steps, self.levels - 1)
            way = level / (self.levels - 1)
        elif self.shape == "cosine":
            way = (1.0 - math.cos(math.pi * clock.progress)) / 2
        else:
            way = clock.progress
        return 1.0 - way if self.direction == "down" and self.to is None else way


class Stages(StageLengths):
    """The strength times the factor of the present stage: factors 3, 2, 1, 0 are Lu's pull-down (2017)."""

    kind: Literal["stages"] = "stages"

    def __call__(self, strength: float, observation: Observation) -> float:
        return observation.base * self.factor(observation.clock)


Row = Annotated[tuple[PositiveFloat, NonNegativeFloat], Field(strict=False)]  # a list in a file, a tuple here


class FollowsLr(Spec):
    """Rises as the learning rate falls: strength x (highest lr / lr) ** power, at most `limit` times the strength.

    The highest learning rate is that of the trial so far, so the strength keeps its stated value during a warm-up.

    The idea of "Adapting Regularization with Learning Rate For Better Generalization in Neural Networks": what the
    falling learning rate takes away of its implicit regularization is given back explicitly. With `power = -1` a
    decoupled weight decay falls with the learning rate (Defazio 2025, arXiv 2506.02285), so that its product with the
    rate falls with the square (Chou 2025, arXiv 2512.08217); `power = -2` couples it to the square. With `table` the
    factors are given explicitly instead, as in that paper's table 1: `table = [[0.01, 1], [0.001, 8], [0.0001, 16]]`.
    They depend on the learning rate itself, in a warm-up as well.
    """

    kind: Literal["follows_lr"] = "follows_lr"
    power: float = 0.5
    """The exponent: 0 for no change, 1 for inverse proportion; below 0 the strength falls with the learning rate."""
    limit: float = Field(default=16.0, ge=1.0)
    """The strength exceeds its stated value by at most this factor."""
    table: tuple[Row, ...] | None = Field(default=None, min_length=1)
    """Rows [learning rate, factor], instead of `power` and `limit`: the strength's factor at or below that learning
    rate, down to that of the next row; above all rows it is 1."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.table is None:
            return self
        fields = type(self).model_fields
        if (self.power, self.limit) != (fields["power"].default, fields["limit"].default):
            raise ValueError("give `table`, or `power` and `limit`, not both")
        rates = [rate for rate, _ in self.table]
        if any(after >= before for before, after in pairwise(rates)):
            raise ValueError(f"the learning rates of `table` must fall from row to row, not {rates}")
        return self

    def __call__(self, strength: float, observation: Observation) -> float:
        if self.table is not None:
            # Both are decimal numbers, and a schedule's is a product of two: equal but for rounding is equal.
            reached = [factor for rate, factor in self.table if observation.lr <= rate * (1 + 1e-9)]
            return observation.base * (reached[-1] if reached else 1.0)
        # Compared as logarithms: the learning rate may be 0, and a power of it may be too large for a number.
        exponent = self.power * _fall(observation) if self.power != 0 else 0.0
        return observation.base * (self.limit if exponent >= math.log(self.limit) else math.exp(exponent))


def _fall(observation: Observation) -> float:
    """How far the learning rate has fallen, as a logarithm; not at all where it begins with 0."""
    if observation.lr == observation.highest_lr:
        return 0.0
    return math.log(observation.highest_lr / observation.lr) if observation.lr > 0 else math.inf


class Feedback(Spec):
    """A gap between train and validation that is too wide raises the strength, one that is too narrow lowers it."""

    raise_above: float
    """Gap above which the strength rises."""
    lower_below: float
    """Gap below which the strength falls."""
    factor: float = Field(default=1.5, gt=1.0)
    """The factor by which the strength rises or falls at once."""
    every: Duration = Duration(epochs=1)
    """How often the gap is checked: at the first optimizer step at or after each multiple of it."""
    limit: float = Field(default=100.0, ge=1.0)
    """The strength stays within this factor of its stated value, in both directions."""

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> Self:
        if self.lower_below > self.raise_above:
            raise ValueError(f"lower_below ({self.lower_below}) must not exceed raise_above ({self.raise_above})")
        return self

    looks_at: ClassVar[tuple[str, ...]]
    """The two metrics whose difference is the gap: the larger one where it is wide, and the one taken from it."""

    def __call__(self, strength: float, observation: Observation) -> float:
        if not observation.clock.reaches_multiple(self.every.in_steps(observation.clock)):
            return strength
        wide, narrow = (observation.measured(metric) for metric in self.looks_at)
        return strength if wide is None or narrow is None else self._answer(wide - narrow, strength, observation)

    def _answer(self, gap: float, strength: float, observation: Observation) -> float:
        if gap > self.raise_above:
            return min(strength * self.factor, observation.base * self.limit)
        if gap < self.lower_below:
            return max(strength / self.factor, observation.base / self.limit)
        return strength


class AccuracyGap(Feedback):
    """Feedback: train accuracy well above validation accuracy raises the strength; close to it or below, it lowers it.

    Lu (2017): the gap is train minus validation accuracy of the last evaluation (shares, 0..1). Every `every`, a gap
    above `raise_above` multiplies the strength by `factor`, one below `lower_below` divides it. The strength stays
    between strength / limit and strength x limit.

    Train is measured as validation is: at the end of an epoch, in evaluation mode and without augmentation, on a fixed
    stratified sample of the training images as large as validation. The epoch's running `train_accuracy`, which dropout
    and augmentation lower, is not used; what a program reports is used as it is.
    """

    kind: Literal["accuracy_gap"] = "accuracy_gap"
    looks_at: ClassVar[tuple[str, ...]] = ("train_accuracy", "validation_accuracy")
    raise_above: float = 0.05
    """Gap (share, 0..1) above which the strength rises."""
    lower_below: float = 0.01
    """Gap (share, 0..1) below which the strength falls; a negative one is allowed."""


class LossGap(Feedback):
    """Feedback as by `accuracy_gap`, with validation minus train loss as the gap (cross-entropy, nats per image)."""

    kind: Literal["loss_gap"] = "loss_gap"
    looks_at: ClassVar[tuple[str, ...]] = ("validation_loss", "train_loss")
    raise_above: float = 0.2
    """Gap (nats) above which the strength rises."""
    lower_below: float = 0.05
    """Gap (nats) below which the strength falls; a negative one is allowed."""


MEASURED = r"^(train|validation)_[A-Za-z][A-Za-z0-9_.-]*$"
MeasuredMetric = Annotated[str, StringConstraints(pattern=MEASURED, max_length=80)]
"""A metric of train or of validation: `validation_loss`."""


class Gap(Feedback):
    """Feedback as by `accuracy_gap`, with the gap between any two reported metrics: `of` minus `minus`."""

    kind: Literal["gap"] = "gap"
    of: MeasuredMetric
    """The metric that is larger when the gap is wide, such as `validation_perplexity`."""
    minus: MeasuredMetric
    """The metric that is subtracted from it, such as `train_perplexity`."""

    @property
    def looks_at(self) -> tuple[str, ...]:  # type: ignore[override]
        """Both of them."""
        return self.of, self.minus


class Replay(Spec):
    """The strengths of another trial, one per epoch, instead of the stated one: a replay without the feedback.

    It shows whether the path that feedback took is worth anything by itself: the same trace in a trial without that
    feedback. A trace holds the strength of each epoch's last step.
    """

    kind: Literal["replay"] = "replay"
    strengths: tuple[NonNegativeFloat, ...] = Field(min_length=1)
    """The strength in each epoch itself, not a factor of the stated one; the last one is held to the end."""

    def __call__(self, strength: float, observation: Observation) -> float:
        return self.strengths[min(observation.clock.epoch, len(self.strengths) - 1)]


Policy = Annotated[Hold | Ramp | Stages | FollowsLr | AccuracyGap | LossGap | Gap | Replay, Field(discriminator="kind")]


def not_reported(policy: Spec, reported: Collection[str]) -> str:
    """The metric that a policy looks at and that nobody reports, in words; empty if there is none."""
    missing = [name for name in getattr(policy, "looks_at", ()) if name not in reported]
    if not missing:
        return ""
    measured = [name for name in reported if not name.startswith("test_")]
    return f"the policy looks at {missing[0]}, which is not reported; there are {', '.join(measured)}"


def looks_at_validation(policy: Spec) -> bool:
    """Whether a policy answers to a metric of validation."""
    return any(name.startswith("validation") for name in getattr(policy, "looks_at", ()))


class Governed(Spec):
    """Fields of every regularizer: a strength, and the policy that moves it."""

    decides_steps: ClassVar[bool] = False
    """Whether the strength decides which optimizer steps there are."""
    strength: NonNegativeFloat
    """The strength as stated; the policy multiplies or replaces it during the trial."""
    policy: Policy = Hold()
    """How the strength moves while the trial trains."""

    def base(self, peak_lr: float, steps: int) -> float:
        """The stated strength, of a trial of so many optimizer steps whose schedule reaches so high a learning rate."""
        return self.strength
