"""What one trial trains: with a seed it fixes the result."""

from __future__ import annotations

from pydantic import Field

from hpo.spec import Name, Spec
from hpo.train.data import Data
from hpo.train.models import Model
from hpo.train.optimizers import Optimizer
from hpo.train.regularizers import RegularizerSpec
from hpo.train.schedules import Schedule


class TrialSpec(Spec):
    """One trial: data, model, optimizer, learning rate and regularizers, for so many epochs."""

    epochs: int = Field(ge=1, le=100_000)
    """Passes over the training images."""
    batch_size: int = Field(ge=1, le=65_536)
    """Images per optimizer step; the last, short batch of an epoch is left out."""
    data: Data
    """The images, and how they are divided."""
    model: Model
    """The net."""
    optimizer: Optimizer
    """What turns gradients into steps."""
    lr: Schedule
    """The learning rate, as a schedule."""
    regularizers: dict[Name, RegularizerSpec] = {}
    """By a name of your choice, under which the strength is traced."""
    gradient_norms: tuple[str, ...] = ()
    """Parameters by their dotted module path, for example `linear1.weight`."""
