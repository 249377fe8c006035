"""How an arm searches: what is searched, samplers that propose points, pruners that stop trials early."""

from __future__ import annotations

from hpo.search.pruners import (
    NO_PRUNER,
    Hyperband,
    Median,
    NoPruner,
    Patient,
    Percentile,
    Pruner,
    Rungs,
    SuccessiveHalving,
    Wilcoxon,
)
from hpo.search.samplers import DEFAULT_SAMPLER, CmaEs, Gp, Grid, Qmc, Random, Sampler, SamplerSpec, Tpe

__all__ = [
    "DEFAULT_SAMPLER",
    "NO_PRUNER",
    "CmaEs",
    "Gp",
    "Grid",
    "Hyperband",
    "Median",
    "NoPruner",
    "Patient",
    "Percentile",
    "Pruner",
    "Qmc",
    "Random",
    "Rungs",
    "Sampler",
    "SamplerSpec",
    "SuccessiveHalving",
    "Tpe",
    "Wilcoxon",
]
