"""Pruners, which stop trials early; each is built from a spec.

They are Optuna's but for `percentile`, which decides as its own does, and whose looks don't take longer the more trials
are done. Options whose defaults have changed between Optuna's releases are always given explicitly.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from hpo.spec import Spec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner

    Space = dict[str, BaseDistribution]

# Pruners: build(epochs). They see a trial at its rungs only, not at every epoch: each look costs a read of the study.
# A pruner that was built serves all trials of an Optuna study.


class Rungs(Spec):
    """When a pruner looks at a trial: after `warmup` epochs, and every `every` epochs from then on."""

    prunes: ClassVar[bool] = True
    """Whether it may stop a trial; otherwise trials are only reported at its rungs."""
    warmup: NonNegativeInt = 0
    """Epochs before the first look."""
    every: PositiveInt = 1
    """Epochs between two looks."""

    def at_rung(self, epoch: int) -> bool:
        """Whether epoch `epoch` (from 1) is one at which the trial is reported and may be pruned."""
        first = max(self.warmup, 1)
        return epoch >= first and (epoch - first) % self.every == 0


class NoPruner(Rungs):
    """Every trial runs to its end; `every` says how often its accuracy is shown in the dashboard."""

    kind: Literal["none"] = "none"
    prunes: ClassVar[bool] = False

    def build(self, epochs: int) -> BasePruner:
        from optuna.pruners import NopPruner

        return NopPruner()


class Median(Rungs):
    """Stops a trial whose best accuracy so far is below the median of the others at the same epoch."""

    kind: Literal["median"] = "median"
    startup: NonNegativeInt = 5
    """Finished trials before anything is pruned."""

    def build(self, epochs: int) -> BasePruner:
        from hpo.search.percentile import PercentilePruner

        return PercentilePruner(50.0, self.startup)


class Percentile(Rungs):
    """Keeps the given best percentage of the trials at each rung."""

    kind: Literal["percentile"] = "percentile"
    percentile: float = Field(default=25.0, gt=0.0, lt=100.0)
    """The percentage of trials that continue."""
    startup: NonNegativeInt = 5
    """Finished trials before anything is pruned."""

    def build(self, epochs: int) -> BasePruner:
        from hpo.search.percentile import PercentilePruner

        return PercentilePruner(self.percentile, self.startup)


class SuccessiveHalving(Rungs):
    """Asynchronous successive halving (Li et al. 2020): one of `reduction` trials continues at each rung."""

    kind: Literal["successive_halving"] = "successive_halving"
    min_epochs: PositiveInt = 1
    """Epochs before the first halving."""
    reduction: int = Field(default=4, ge=2)
    """One in this many trials continues; the distance between halvings grows by the same factor."""

    def build(self, epochs: int) -> BasePruner:
        from optuna.pruners import SuccessiveHalvingPruner

        return SuccessiveHalvingPruner(min_resource=self.min_epochs, reduction_factor=self.reduction)


class Hyperband(Rungs):
    """Hyperband (Li et al. 2018): several successive halvings side by side, from cautious to eager."""

    kind: Literal["hyperband"] = "hyperband"
    min_epochs: PositiveInt = 1
    """Epochs before the first halving of the most eager one."""
    reduction: int = Field(default=3, ge=2)
    """One in this many trials continues; the distance between halvings grows by the same factor."""

    def build(self, epochs: int) -> BasePruner:
        from optuna.pruners import HyperbandPruner

        return HyperbandPruner(
            min_resource=min(self.min_epochs, epochs), max_resource=epochs, reduction_factor=self.reduction
        )


class Wilcoxon(Rungs):
    """Compares a trial with the best one, epoch by epoch, by a Wilcoxon signed-rank test."""

    kind: Literal["wilcoxon"] = "wilcoxon"
    p: float = Field(default=0.1, gt=0.0, lt=1.0)
    """The trial is stopped when the test says that it is worse with a p value below this."""

    def build(self, epochs: int) -> BasePruner:
        from optuna.pruners import WilcoxonPruner

        return WilcoxonPruner(p_threshold=self.p)


class Patient(Rungs):
    """Lets a trial that `wrapped` would stop continue for `patience` rungs without an improvement."""

    kind: Literal["patient"] = "patient"
    wrapped: Annotated[Median | Percentile | SuccessiveHalving | Hyperband, Field(discriminator="kind")]
    """The pruner whose decision is delayed."""
    patience: NonNegativeInt = 2
    """The number of rungs without an improvement that are tolerated."""
    min_delta: float = Field(default=0.0, ge=0.0)
    """A rise of the accuracy by less than this does not count as an improvement (share, 0..1)."""

    def build(self, epochs: int) -> BasePruner:
        from optuna.exceptions import ExperimentalWarning
        from optuna.pruners import PatientPruner

        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ExperimentalWarning
            )  # that it is a class of its own, which studies don't see
            return PatientPruner(self.wrapped.build(epochs), patience=self.patience, min_delta=self.min_delta)


Pruner = Annotated[
    NoPruner | Median | Percentile | SuccessiveHalving | Hyperband | Wilcoxon | Patient, Field(discriminator="kind")
]
NO_PRUNER = NoPruner()
