"""Regularizers: what acts on training besides the loss, each with a strength that a policy moves.

`build` binds a spec to a model and returns a `Regularizer`: a record of plain functions, one for each place where the
training loop asks. The reported loss is always the cross-entropy alone, so it can be compared between arms: penalties
act through their gradient in closed form, which is the derivative of the penalty that the docstring states, and what
changes the loss changes only the one that is differentiated.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo.trainers.images.regularizers.batch_size import BatchSize
from hpo.trainers.images.regularizers.noise import Dropout, InputNoise, LabelSmoothing, SparseGradient
from hpo.trainers.images.regularizers.penalties import L1, L2, CautiousWeightDecay, LHalf, Tikhonov, WeightDecay
from hpo.trainers.images.regularizers.proximal import ProximalL1, ProximalLHalf
from hpo.trainers.images.regularizers.record import Regularizer, Which, decay, decay_groups, parameters

RegularizerSpec = Annotated[
    WeightDecay
    | CautiousWeightDecay
    | L2
    | L1
    | LHalf
    | Tikhonov
    | ProximalL1
    | ProximalLHalf
    | Dropout
    | InputNoise
    | LabelSmoothing
    | SparseGradient
    | BatchSize,
    Field(discriminator="kind"),
]

__all__ = [
    "L1",
    "L2",
    "BatchSize",
    "CautiousWeightDecay",
    "Dropout",
    "InputNoise",
    "LHalf",
    "LabelSmoothing",
    "ProximalL1",
    "ProximalLHalf",
    "Regularizer",
    "RegularizerSpec",
    "SparseGradient",
    "Tikhonov",
    "WeightDecay",
    "Which",
    "decay",
    "decay_groups",
    "parameters",
]
