"""A sampler that proposes one point of a low-discrepancy sequence, chosen by its place in it.

Optuna's own QMC sampler counts its points in the storage without a lock, so parallel workers repeat some; a cell knows
its place already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from scipy.stats import qmc


class QmcPoint(BaseSampler):
    """Proposes the `place`-th point (from 0) of the sequence over `space`, one coordinate per parameter."""

    def __init__(
        self, sequence: Literal["sobol", "halton"], seed: int, place: int, space: Mapping[str, BaseDistribution]
    ) -> None:
        engine = (qmc.Sobol if sequence == "sobol" else qmc.Halton)(len(space), scramble=True, rng=seed)
        if place > 0:
            engine.fast_forward(place)
        self._point = dict(zip(space, engine.random(1)[0].tolist(), strict=True))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return from_unit(self._point[param_name], param_distribution)


def from_unit(unit: float, distribution: BaseDistribution) -> Any:
    """The value at `unit` in [0, 1) of the distribution's range; every choice and every step gets an equal part."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(unit * len(distribution.choices))]
    if isinstance(distribution, IntDistribution) and not distribution.log:
        steps = (distribution.high - distribution.low) // distribution.step + 1
        return distribution.low + int(unit * steps) * distribution.step
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        steps = round((distribution.high - distribution.low) / distribution.step) + 1
        return min(distribution.low + int(unit * steps) * distribution.step, distribution.high)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.log:
        value = math.exp(math.log(distribution.low) + unit * math.log(distribution.high / distribution.low))
    else:
        value = distribution.low + unit * (distribution.high - distribution.low)
    if isinstance(distribution, IntDistribution):
        return min(max(round(value), distribution.low), distribution.high)
    return min(max(value, distribution.low), distribution.high)
