"""The values that flow through training: where a trial is, what it measured, what a policy may look at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import PositiveInt, model_validator

from hpo.metric import Metric, Split
from hpo.spec import Spec
from hpo.trainers import trainer


@dataclass(frozen=True, slots=True)
class Clock:
    """A moment of a trial: `step` optimizer steps are done, of `epochs` epochs of `steps_per_epoch` steps.

    Where the regularizer `batch_size` takes several minibatches together, that step counts as so many.
    """

    step: int
    steps_per_epoch: int
    epochs: int

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_per_epoch

    @property
    def total_steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    @property
    def progress(self) -> float:
        """Share of the trial that is done, 0 before the first step and 1 after the last."""
        return self.step / self.total_steps

    @property
    def at_epoch_end(self) -> bool:
        return self.step > 0 and self.step % self.steps_per_epoch == 0


class Length(Spec):
    """What has a length, in epochs or in optimizer steps: exactly one of the two."""

    epochs: PositiveInt | None = None
    """Its length in epochs; exactly one of `epochs` and `steps`."""
    steps: PositiveInt | None = None
    """Its length in optimizer steps."""

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of `epochs` and `steps`, for example { epochs = 1 }")
        return self

    def in_steps(self, clock: Clock) -> int:
        """The length in optimizer steps."""
        return self.steps if self.steps is not None else (self.epochs or 0) * clock.steps_per_epoch


class Duration(Length):
    """A length of training, in epochs or in optimizer steps: exactly one of the two."""


@dataclass(frozen=True, slots=True)
class Score:
    """Mean cross-entropy per image, and share of the images classified rightly (0..1)."""

    loss: float
    accuracy: float

    def by_name(self, split: Split) -> dict[str, float]:
        """Both by the names of their metrics on `split`."""
        return {f"{split}_loss": self.loss, f"{split}_accuracy": self.accuracy}

    def of(self, metric: Metric) -> float:
        """The one of the two that `metric` names."""
        return self.loss if metric.name.endswith("loss") else self.accuracy


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known at the end of an epoch; `train` is the running mean over the epoch's own minibatches."""

    epoch: int
    """Epochs done, from 1."""
    step: int
    """Optimizer steps done."""
    train: Score
    validation: Score
    lr: float
    """Learning rate of the epoch's last step."""
    strengths: Mapping[str, float]
    """Strength of every regularizer at the epoch's last step, by its name in the study file."""
    gradient_norms: Mapping[str, float]
    """2-norm of the last minibatch's gradient of the parameters that the trial names."""
    seconds: float
    """Wall time of the epoch, evaluation included."""
    images_per_second: float
    """Training images per second of training, evaluation left out."""

    @property
    def finite(self) -> bool:
        """Whether both losses are numbers; otherwise the trial has diverged."""
        return math.isfinite(self.train.loss) and math.isfinite(self.validation.loss)

    def reported(self) -> trainer.Evaluation:
        """The evaluation as everything outside of training sees it: numbers by name."""
        metrics = {
            "step": self.step,
            **self.train.by_name("train"),
            **self.validation.by_name("validation"),
            "lr": self.lr,
            **{f"strength.{name}": strength for name, strength in self.strengths.items()},
            **{f"gradient_norm.{name}": norm for name, norm in self.gradient_norms.items()},
            "images_per_second": self.images_per_second,
        }
        return trainer.Evaluation(self.epoch, self.seconds, metrics)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy sees before a step. The scores are those of the last evaluation, None before the first."""

    clock: Clock
    base: float
    """The strength that the study file states for this regularizer."""
    lr: float
    """Learning rate of the coming step."""
    peak_lr: float
    """The highest learning rate of the trial's schedule."""
    train: Score | None
    validation: Score | None
