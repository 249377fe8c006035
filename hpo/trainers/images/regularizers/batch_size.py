"""The batch size as a quantity that moves while the trial trains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hpo.trainers.images.regularizers.record import Regularizer
from hpo.trainers.moving.policies import Governed

if TYPE_CHECKING:
    from torch import nn


class BatchSize(Governed):
    """How many minibatches of the trial's `batch_size` images make one optimizer step, rounded to a whole number.

    A larger batch means less noise, so raising it during training does what lowering the learning rate does (Smith et
    al. 2018). An epoch has the same images in the same order whatever the strength, and the clock counts minibatches of
    the stated size, so schedules counted in steps keep their places; the last step of an epoch takes what is left.
    """

    kind: Literal["batch_size"] = "batch_size"
    ceiling: ClassVar[float] = math.inf
    decides_steps: ClassVar[bool] = True
    strength: float = Field(ge=1.0)
    """Minibatches per step, as stated; the policy multiplies or replaces it during the trial."""

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        return Regularizer(minibatches=lambda strength: max(round(strength), 1))
