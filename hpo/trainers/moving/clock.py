"""The values that flow through training: where a trial is, what it measured, what a policy may look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from hpo.metric import Split
from hpo.spec import Spec


@dataclass(frozen=True, slots=True)
class Clock:
    """A moment of a trial: `step` optimizer steps are done, of `epochs` epochs of `steps_per_epoch` steps.

    Where the regularizer `batch_size` takes several minibatches together, that step counts as so many.
    """

    step: int
    steps_per_epoch: int
    epochs: int
    taken: int = 1
    """How many of the steps done the last optimizer step counts as."""

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

    def reaches_multiple(self, of: int) -> bool:
        """Whether this is the first moment at or after a multiple of `of` steps, 0 included."""
        return self.step // of > (self.step - self.taken) // of


class Length(Spec):
    """A length, in epochs or in optimizer steps: exactly one of the two."""

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

    def named(self, name: str) -> float:
        """The one of the two that is called so: `loss` or `accuracy`."""
        return {"loss": self.loss, "accuracy": self.accuracy}[name]

    def by_name(self, split: Split | Literal["sampled_train", "steer"]) -> dict[str, float]:
        """Both by the names of their metrics on `split`."""
        return {f"{split}_loss": self.loss, f"{split}_accuracy": self.accuracy}


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy sees before a step. The scores are those of the last evaluation, None before the first."""

    clock: Clock
    base: float
    """The strength that the study file states for this regularizer."""
    lr: float
    """Learning rate of the coming step."""
    highest_lr: float
    """The highest learning rate of the trial up to the coming step, that one included."""
    train: Score | None
    """Measured as validation is: in evaluation mode, on images that are not augmented."""
    validation: Score | None
    """Where the data has a part `steer`, the score of that."""

    def measured(self, metric: str) -> float | None:
        """What was measured last of a metric such as `validation_loss`; None before the first evaluation."""
        split, _, name = metric.partition("_")
        score = self.train if split == "train" else self.validation
        return None if score is None else score.named(name)
