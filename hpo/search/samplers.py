"""Samplers, which propose points; each is built from a spec.

They are Optuna's but for two, which decide as its own do: `qmc`, which repeats no point when several workers ask, and
`cmaes`, which unpickles nothing. Options whose defaults have changed between Optuna's releases are always given
explicitly.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from hpo.seeds import derive
from hpo.spec import Spec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

    Space = dict[str, BaseDistribution]

# Samplers: build(seed, slot, space, branches). `seed` belongs to the arm; with the slot, the cell's place in the arm,
# it fixes the cell's own random numbers, so no two workers propose the same point. `branches`: whether some parameters
# of the space exist under a choice alone.


class SamplerSpec(Spec):
    """What every sampler says of itself."""

    proposes: ClassVar[bool] = True
    """Whether it draws a point when a trial begins; otherwise all points are listed in the plan."""
    fewest_ranges: ClassVar[int] = 0
    """How many ranges of numbers it needs at least; a sampler that needs some can search nothing else."""


class Grid(SamplerSpec):
    """Every combination of the values, each exactly once. All points are planned in advance."""

    kind: Literal["grid"] = "grid"
    proposes: ClassVar[bool] = False

    def build(self, seed: int, slot: int, space: Space, branches: bool = False) -> BaseSampler:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=derive(seed, slot))


class Random(SamplerSpec):
    """Independent draws (Bergstra and Bengio 2012)."""

    kind: Literal["random"] = "random"

    def build(self, seed: int, slot: int, space: Space, branches: bool = False) -> BaseSampler:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=derive(seed, slot))


class Tpe(SamplerSpec):
    """Tree-structured Parzen estimator (Bergstra et al. 2011); trials in progress count as bad ones."""

    kind: Literal["tpe"] = "tpe"
    startup: NonNegativeInt = 10
    """Random trials before the sampler's model is used."""
    candidates: PositiveInt = 24
    """Points drawn per proposal, of which the best is taken."""
    multivariate: bool = True
    """Model the parameters jointly."""

    def build(self, seed: int, slot: int, space: Space, branches: bool = False) -> BaseSampler:
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import TPESampler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # `group`
            return TPESampler(
                n_startup_trials=self.startup,
                n_ei_candidates=self.candidates,
                multivariate=self.multivariate,
                # What is always met together is modelled jointly; otherwise all that exists under a choice alone would
                # be modelled by itself.
                group=self.multivariate and branches,
                constant_liar=True,
                seed=derive(seed, slot),
            )


class Gp(SamplerSpec):
    """Gaussian process with expected improvement (Optuna's GPSampler): learns from few trials, at a second for each
    proposal and more as trials come in; trials in progress count as measured there."""

    kind: Literal["gp"] = "gp"
    startup: NonNegativeInt = 10
    """Random trials before the sampler's model is used."""

    def build(self, seed: int, slot: int, space: Space, branches: bool = False) -> BaseSampler:
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import GPSampler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # What exists under a choice alone is drawn at random: the model is of what all trials have.
            return GPSampler(
                n_startup_trials=self.startup,
                deterministic_objective=False,  # training is noisy
                warn_independent_sampling=False,
                seed=derive(seed, slot),
            )


class CmaEs(SamplerSpec):
    """Covariance matrix adaptation (Hansen and Ostermeier 2001), for two or more ranges of numbers."""

    kind: Literal["cmaes"] = "cmaes"
    fewest_ranges: ClassVar[int] = 2

    def build(self, seed: int, slot: int, space: Space, branches: bool = False) -> BaseSampler:
        from hpo.search.cmaes import ReplayedCmaEs

        return ReplayedCmaEs(seed=derive(seed, slot), warn_independent_sampling=False)


class Qmc(SamplerSpec):
    """Points of a scrambled low-discrepancy sequence, which cover the space more evenly than random draws."""

    kind: Literal["qmc"] = "qmc"
    sequence: Literal["sobol", "halton"] = "sobol"
    """The sequence: Sobol' (1967), which is best balanced if the number of trials is a power of two, or Halton
    (1960)."""

    def build(self, seed: int, slot: int, space: Space, branches: bool = False) -> BaseSampler:
        from hpo.search.qmc import QmcPoint

        return QmcPoint(self.sequence, seed, slot, space)


Sampler = Annotated[Grid | Random | Tpe | Gp | CmaEs | Qmc, Field(discriminator="kind")]
DEFAULT_SAMPLER = Grid()
