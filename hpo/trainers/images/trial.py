"""What one trial trains: with a seed it fixes the result."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from hpo.spec import Name, Spec
from hpo.trainers.images.augment import Augment
from hpo.trainers.images.data import Data
from hpo.trainers.images.models import Model
from hpo.trainers.images.optimizers import Optimizer
from hpo.trainers.images.plateau import Plateau
from hpo.trainers.images.regularizers import RegularizerSpec
from hpo.trainers.images.reported import METRICS
from hpo.trainers.moving.policies import not_reported
from hpo.trainers.moving.schedules import Schedule


class EarlyStopping(Spec):
    """The trial ends when validation accuracy has not improved for `patience` epochs (Prechelt 1998).

    The epochs that are saved count as not spent. The curve shows what was trained, whatever is scored in the end.
    """

    patience: PositiveInt
    """Epochs without an improvement."""
    min_delta: NonNegativeFloat = 0.0
    """How much (share, 0..1) an accuracy must exceed the best one so far to count as an improvement."""
    score: Literal["last", "best"] = "last"
    """Which epoch's network is scored on validation and on test in the end, and kept: that of the last epoch, or, as in
    Prechelt, that of the epoch with the highest validation accuracy (the first of several), even if training did not
    end early. A pruned trial is always scored by its last epoch."""


class TrialSpec(Spec):
    """One trial: data, model, optimizer, learning rate and regularizers, and the number of epochs."""

    epochs: int = Field(ge=1, le=100_000)
    """Passes over the training images."""
    batch_size: int = Field(ge=1, le=65_536)
    """Images per optimizer step, which the regularizer `batch_size` may multiply; an incomplete last batch of an epoch
    is left out."""
    data: Data
    """The images, and how they are divided."""
    augment: Augment = Augment()
    """Random changes to the training images."""
    model: Model
    """The network."""
    optimizer: Optimizer
    """The rule that turns gradients into steps."""
    lr: Schedule
    """The learning rate, as a schedule."""
    plateau: Plateau | None = None
    """Lowers the scheduled learning rate when validation no longer improves."""
    clip_norm: PositiveFloat | None = None
    """Gradients longer than this are shortened to it (Pascanu et al. 2013). It limits the 2-norm over all parameters
    together, of the loss's gradient only; penalties and weight decay are added afterwards."""
    regularizers: dict[Name, RegularizerSpec] = {}
    """What acts on training besides the loss, each under a name of your choice; curves trace its strength by that
    name."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """The number format of the forward and backward pass; weights and updates always have 32 bits. For bfloat16 a
    worker needs a GPU, or a processor with instructions for it."""
    compile: bool = False
    """Compile the network with torch.compile, which takes 10 to 100 seconds at the beginning of every trial. The
    worker's log says how long it took, and whether torch gives up because a value that it compiled in keeps changing,
    such as the share of a dropout."""
    early_stopping: EarlyStopping | None = None
    """The rule for ending before the last epoch."""
    score_every: PositiveInt = 1
    """Epochs from one score on validation to the next (Keras: `validation_freq`); with `test_curve`, on test likewise.
    It changes what curves show and what a trial costs, and nothing that is trained, chosen or pruned: validation is
    scored as well after the last epoch, at the rungs of a pruner and at the moments of claims, and whenever a feedback
    policy is about to look at it; with `plateau` or `early_stopping` after every epoch. (Only a trial whose loss is no
    number on validation, and is one on train, is noticed later.)"""
    init_seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Seed for the initial weights, instead of the trial's own seed."""
    order_seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Seed for what is random during training, instead of the trial's own seed: the order of the images, augmentation,
    dropout, noise."""
    test_curve: bool = False
    """Score test along the way in the confirm phase, whenever validation is, and not only after the last epoch, for
    figures and for claims `at` an earlier moment. Nothing is chosen by it."""
    sparsity_below: float | None = Field(default=None, ge=0.0)
    """Record after every epoch, as the metric `train_sparsity`, the share of weights (biases and normalization left
    out) whose absolute value is at most this: with 0, of those that are exactly 0."""
    gradient_norms: tuple[str, ...] = ()
    """Parameters whose gradient norms are recorded, by their dotted module path, for example `linear1.weight`."""

    @model_validator(mode="after")
    def _reports_what_policies_look_at(self) -> Self:
        for name, regularizer in self.regularizers.items():
            if said := not_reported(regularizer.policy, METRICS):
                raise ValueError(f"regularizers.{name}: {said}")
        return self
