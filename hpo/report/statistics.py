"""Means, intervals and paired differences over seeds.

Intervals are Student's t intervals of the mean with n - 1 degrees of freedom; a paired comparison is the same
for the differences seed by seed, with the p value of the two-sided paired t test (Student 1908).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95
ROUNDING = 1e-12
"""Differences that vary by less than this share of the values themselves are the same but for rounding."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Values of one thing under several seeds."""

    n: int
    mean: float
    std: float | None
    """Of the sample (n - 1 in the denominator); None for a single value, as the interval."""
    best: float
    worst: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Paired:
    """The mean difference of two things under the same seeds."""

    n: int
    """Seeds that both have."""
    difference: float
    low: float | None
    """None for a single seed, as `high` and `p`."""
    high: float | None
    p: float | None


def summarize(values: Sequence[float], confidence: float = CONFIDENCE, *, lower_is_better: bool = False) -> Summary:
    """Mean, spread and t interval of one or more values."""
    n, mean = len(values), fmean(values)
    lowest, highest = min(values), max(values)
    best, worst = (lowest, highest) if lower_is_better else (highest, lowest)
    if n < 2:
        return Summary(n, mean, None, best, worst, None, None)
    std = stdev(values)
    half = _half_width(std, n, confidence)
    return Summary(n, mean, std, best, worst, mean - half, mean + half)


def paired(a: Mapping[int, float], b: Mapping[int, float], confidence: float = CONFIDENCE) -> Paired | None:
    """The mean of a - b over the seeds that both have; None if there is no such seed."""
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        return None
    differences = [a[seed] - b[seed] for seed in seeds]
    n, mean = len(seeds), fmean(differences)
    if n < 2:
        return Paired(n, mean, None, None, None)
    std = stdev(differences)
    largest = max(max(abs(a[seed]), abs(b[seed])) for seed in seeds)
    if std <= ROUNDING * largest:
        # No spread, so no t statistic: no difference at all, or the same one under every seed.
        return Paired(n, mean, mean, mean, p=1.0 if abs(mean) <= ROUNDING * largest else 0.0)
    half = _half_width(std, n, confidence)
    return Paired(n, mean, mean - half, mean + half, _p_value(mean / (std / math.sqrt(n)), n))


def _half_width(std: float, n: int, confidence: float) -> float:
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    return float(stdtrit(n - 1, (1 + confidence) / 2)) * std / math.sqrt(n)


def _p_value(t: float, n: int) -> float:
    from scipy.special import stdtr

    return 2 * float(stdtr(n - 1, -abs(t)))
