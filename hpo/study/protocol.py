"""The rules by which the arms of a study are made comparable: budgets, pruning, the confirm phase, seeds."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from hpo.metric import MetricName
from hpo.search import NO_PRUNER, Pruner
from hpo.spec import Name, Spec


class Budget(Spec):
    """How much an arm may spend in its search phase: trials or epochs, and hours if they are to be limited too."""

    trials: PositiveInt | None = None
    """Trials, pruned or not."""
    epochs: PositiveInt | None = None
    """Epochs trained; what pruning saves goes into further trials of the same arm."""
    hours: PositiveFloat | None = None
    """Once the arm's trials have trained so long together, no further one is begun; those that have begun are
    finished."""

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.trials is None) == (self.epochs is None):
            raise ValueError("give exactly one of `trials` and `epochs`, for example { epochs = 480 }")
        return self


class Confirm(Spec):
    """The second phase: the best of each arm trained again with fresh seeds, the same for every arm."""

    top: int = Field(default=1, ge=1, le=100)
    """How many of an arm's configurations are confirmed, the best ones by the metric."""
    seeds: int = Field(default=5, ge=1, le=1000)
    """Fresh seeds for each of them."""


class Protocol(Spec):
    """How the arms are made comparable."""

    budget: Budget | None = None
    """What each arm may spend in its search. Without one, sampled arms may spend as many epochs as the largest grid."""
    pruner: Pruner = NO_PRUNER
    """What stops trials of the sampled arms; a grid is run in full unless its arm states a pruner of its own."""
    confirm: Confirm | None = None
    """The second phase. Without it the search is all there is, and nothing is scored on test."""
    seed: NonNegativeInt = 0
    """Fixes initializations, batch orders and proposals."""
    repeats: int = Field(default=1, ge=1, le=1000)
    """Seeds per grid point in the search phase."""
    metric: MetricName | None = None
    """What trials are judged by, on validation: by it configurations are chosen, trials pruned, and samplers learn from
    it. The validation accuracy if not given; `validation_loss` is the other one."""
    select: Literal["last", "best"] = "last"
    """The epoch of which the metric is a trial's score in the search. Test, curves and claims are of the last epoch in
    any case."""
    audit: int = Field(default=0, ge=0, le=1000)
    """So many pruned trials of each arm are run to their end after the search, to measure how often pruning was
    wrong."""
    share_prefixes: bool = False
    """Train once what trials with the same seed have in common at their beginning, as schedules with the same first
    stages; only where it is known beforehand, so for grids that are not pruned and in the confirm phase. Every trial
    still counts with all its epochs."""
    keep_weights: bool = False
    """Keep the weights of every confirm trial after its last epoch, for `hpo fetch`, where checkpoints are kept."""
    attempts: PositiveInt = 5
    """How often a cell is tried without an epoch of progress before it is set aside as failed."""
    baseline: Name | None = None
    """The arm that the others are compared with; the first one if not given."""
