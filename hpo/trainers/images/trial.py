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
    """The trial is finished when validation accuracy has not improved for `patience` epochs (Prechelt 1998).

    The epochs that are saved count as not spent. The curve is what was trained, whatever is scored in the end.
    """

    patience: PositiveInt
    """Epochs without an improvement."""
    min_delta: NonNegativeFloat = 0.0
    """How much (share, 0..1) an accuracy must exceed the best one before it to be an improvement."""
    score: Literal["last", "best"] = "last"
    """Whose net is scored on validation and on test in the end, and kept: that of the last epoch, or, as Prechelt has
    it, that of the epoch with the highest validation accuracy, the first of several, also where no epoch was saved. A
    pruned trial is scored by its last epoch in any case."""


class TrialSpec(Spec):
    """One trial: data, model, optimizer, learning rate and regularizers, for so many epochs."""

    epochs: int = Field(ge=1, le=100_000)
    """Passes over the training images."""
    batch_size: int = Field(ge=1, le=65_536)
    """Images per optimizer step, which the regularizer `batch_size` may multiply; an epoch's short last batch is left
    out."""
    data: Data
    """The images, and how they are divided."""
    augment: Augment = Augment()
    """What is done to the training images at random."""
    model: Model
    """The net."""
    optimizer: Optimizer
    """What turns gradients into steps."""
    lr: Schedule
    """The learning rate, as a schedule."""
    plateau: Plateau | None = None
    """Lowers the scheduled learning rate where validation no longer improves."""
    clip_norm: PositiveFloat | None = None
    """Gradients longer than this are shortened to it (Pascanu et al. 2013): the 2-norm over all parameters together, of
    the loss's gradient alone; penalties and weight decay come after it."""
    regularizers: dict[Name, RegularizerSpec] = {}
    """What acts on training besides the loss, each under a name of your choice by which its strength is traced."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """The numbers of the forward and backward pass; weights and updates have 32 bits in any case. For bfloat16 a worker
    needs a GPU, or a processor with instructions for it."""
    compile: bool = False
    """Compile the net with torch.compile, which takes 10 to 100 seconds at the beginning of every trial. The worker's
    log says how long it took, and if torch gives up because what it compiled in keeps moving, as a share of dropout."""
    early_stopping: EarlyStopping | None = None
    """When to end before the last epoch."""
    init_seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Draws the weights that training begins with, in place of the trial's own seed."""
    order_seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Draws what is random in training, in place of the trial's own seed: the order of the images, augmentation,
    dropout, noise."""
    test_curve: bool = False
    """Score test after every epoch of the confirm phase, not after the last one alone, for figures and for claims `at`
    an earlier moment. Nothing is chosen by it."""
    gradient_norms: tuple[str, ...] = ()
    """Parameters by their dotted module path, for example `linear1.weight`."""

    @model_validator(mode="after")
    def _reports_what_policies_look_at(self) -> Self:
        for name, regularizer in self.regularizers.items():
            if said := not_reported(regularizer.policy, METRICS):
                raise ValueError(f"regularizers.{name}: {said}")
        return self
