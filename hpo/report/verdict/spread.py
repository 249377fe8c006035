"""Where the spread of what an arm measures comes from: from its seeds, and from its searches.

Of K searches whose choices were trained with n seeds each, the variance between the searches' means is that of the
searches plus that of the seeds by n (a one-way layout with random effects; Searle, Casella and McCulloch 1992).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from hpo.evidence.measured import Read
from hpo.evidence.statistics import pooled_variance
from hpo.metric import Metric
from hpo.storage.rows import Cell


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviations of one metric, of one arm."""

    seeds: float | None
    """Deviation between the seeds of what one search chose; None for a single seed."""
    searches: float | None
    """Deviation between what searches chose, beyond what seeds explain; None for a single search, or a single seed."""


def spread(metric: Metric, units: Mapping[int, Sequence[Cell]], read: Read) -> Spread | None:
    """The spread over the searches of an arm, of `units` by search; None of fewer than two."""
    found = [[read(metric, cell) for cell in cells] for cells in units.values()]
    values = [[value for value in own if value is not None] for own in found]
    values = [own for own in values if own]
    if len(values) < 2:
        return None
    within = pooled_variance(values)
    if within is None:
        return Spread(None, None)
    each = len(values) / sum(1 / len(own) for own in values)
    between = variance([fmean(own) for own in values]) - within / each
    return Spread(math.sqrt(within), math.sqrt(max(between, 0.0)))
