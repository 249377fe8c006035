"""What is known of a trial on images at the end of an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from hpo.trainers import trainer
from hpo.trainers.images.reported import SPARSITY
from hpo.trainers.moving.clock import Score


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known at the end of an epoch; `train` is the running mean over the epoch's own minibatches."""

    epoch: int
    """Epochs done, from 1."""
    step: int
    """Optimizer steps done."""
    train: Score
    validation: Score | None
    """None where nobody looks at it; see `TrialSpec.score_every`."""
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
    sampled_train: Score | None = None
    """The score of a fixed sample of training images in evaluation mode; None where no policy is about to read it."""
    test: Score | None = None
    """The score of the test images; None where they are scored in the end alone."""
    steer: Score | None = None
    """The score of the images that policies look at in place of validation; None likewise, and where there are none."""
    sparsity: float | None = None
    """The share of weights that are as good as 0; None where the trial does not ask."""
    scoring_seconds: float = field(default=0.0, compare=False)
    """Wall time of the evaluation, which is a part of `seconds`."""

    @property
    def finite(self) -> bool:
        """Whether all losses are numbers; otherwise the trial has diverged."""
        return all(math.isfinite(score.loss) for score in (self.train, self.validation) if score is not None)

    def reported(self) -> trainer.Evaluation:
        """The evaluation as everything outside of training sees it: numbers by name."""
        metrics = {
            "step": self.step,
            **self.train.by_name("train"),
            **({} if self.validation is None else self.validation.by_name("validation")),
            "lr": self.lr,
            **{f"strength.{name}": strength for name, strength in self.strengths.items()},
            **{f"gradient_norm.{name}": norm for name, norm in self.gradient_norms.items()},
            "images_per_second": self.images_per_second,
            trainer.SCORING: round(self.scoring_seconds, 4),
            **({} if self.test is None else self.test.by_name("test")),
            **({} if self.sparsity is None else {SPARSITY.name: self.sparsity}),
            **({} if self.sampled_train is None else self.sampled_train.by_name("sampled_train")),
            **({} if self.steer is None else self.steer.by_name("steer")),
        }
        return trainer.Evaluation(self.epoch, self.seconds, metrics)
