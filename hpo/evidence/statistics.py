"""Means, intervals and tests over seeds.

Intervals of a mean are Student's, with n - 1 degrees of freedom (Student 1908); beside them stands the percentile
bootstrap (Efron 1979), which assumes no normal distribution but is too narrow for few seeds. A paired comparison is
the same for the differences seed by seed, with the two-sided p values of the paired t test and of Wilcoxon's
signed-rank test (1945). Several comparisons are corrected by Holm's method (1979).

Accuracies are counts divided by the number of images, so under few seeds all differences may come out equal, and a
spread of zero would make any difference certain. Equal values say nothing of spread: then the sign test decides,
p = 2^(1-n), and there is an interval only from the n on at which it is below 5 %, which is 6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev, variance
from typing import TYPE_CHECKING

from hpo.evidence.anytime import anytime_p, half_width

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000
ROUNDING = 1e-12
"""Values that vary by less than this share of their size are the same but for rounding."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Values of one thing under several seeds."""

    n: int
    mean: float
    std: float | None
    """The deviation of the sample (n - 1 in the denominator); None for a single value."""
    best: float
    worst: float
    low: float | None
    """None for a single value, and for fewer than 6 that are all equal; as `high`."""
    high: float | None


@dataclass(frozen=True, slots=True)
class Paired:
    """The mean difference of two things under the same seeds, or in the same searches."""

    n: int
    """Units that both have."""
    difference: float
    low: float | None
    """None for a single unit, and for a few differences that are all equal; as `high`."""
    high: float | None
    p: float | None
    """Two-sided, of the paired t test or of `anytime`; None for a single unit."""
    std: float | None = None
    """The deviation of the differences; None for a single unit."""


def summarize(values: Sequence[float], confidence: float = CONFIDENCE, *, lower_is_better: bool = False) -> Summary:
    """Mean, spread and t interval of one or more values."""
    lowest, highest = min(values), max(values)
    best, worst = (lowest, highest) if lower_is_better else (highest, lowest)
    std = _spread(values, max(abs(lowest), abs(highest)))
    return Summary(len(values), fmean(values), std, best, worst, *_interval(values, std, confidence))


def differences(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """a - b under every seed that both have, by seed."""
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]


def paired(
    a: Mapping[int, float],
    b: Mapping[int, float],
    confidence: float = CONFIDENCE,
    *,
    margin: float = 0.0,
    anytime: bool = False,
) -> Paired | None:
    """The mean of a - b over the units that both have, tested against `margin`; None if there is no such unit.

    `anytime`: interval and p are those of `anytime`, valid however often one has looked.
    """
    values = differences(a, b)
    if not values:
        return None
    n, mean = len(values), fmean(values)
    size = max(max(abs(a[seed]), abs(b[seed])) for seed in a.keys() & b.keys())
    std = _spread(values, size)
    beyond = 0.0 if abs(mean - margin) <= ROUNDING * size else mean - margin
    if std is None:
        return Paired(n, mean, None, None, None, None)
    if anytime:
        half = half_width(std, n, 1 - confidence)
        p = anytime_p(beyond, std, n)
        if half is None:
            return Paired(n, mean, None, None, p, std)
        return Paired(n, mean, mean - half, mean + half, p, std)
    low, high = _interval(values, std, confidence)
    return Paired(n, mean, low, high, _p_value(beyond, std, n), std)


def proportion(part: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a share of which `part` of `of` were seen (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = float(betaincinv(part, of - part + 1, tail)) if part else 0.0
    high = float(betaincinv(part + 1, of - part, 1 - tail)) if part < of else 1.0
    return low, high


def bootstrap(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """The percentile bootstrap interval of the mean, always with the same resamples; None for fewer than two values."""
    import numpy as np

    if len(values) < 2:
        return None
    return percentiles(np.asarray(values)[_resamples(len(values))].mean(axis=1), confidence)


def percentiles(resampled: NDArray[np.float64], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The percentile interval of something that was computed of every resample."""
    import numpy as np

    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def pooled_variance(groups: Sequence[Sequence[float]]) -> float | None:
    """The mean variance within groups of values, of those that have two or more; None if none has."""
    several = [variance(values) for values in groups if len(values) > 1]
    return fmean(several) if several else None


def wilcoxon(values: Sequence[float]) -> float | None:
    """Two-sided p of the signed-rank test that differences are symmetric about 0; None for fewer than two.

    Differences of 0 are left out. Exact up to 50 seeds, and up to 13 where some differences are equal.
    """
    from scipy.stats import wilcoxon as signed_rank  # takes a second to import

    if len(values) < 2:
        return None
    moved = [round(value, 12) for value in values if round(value, 12)]
    return float(signed_rank(moved).pvalue) if moved else 1.0


def effect_size(difference: Paired) -> float | None:
    """The difference in standard deviations of the differences, d_z, with Hedges' (1981) correction for few seeds."""
    if not difference.std or difference.n < 3:
        return None
    return difference.difference / difference.std * (1 - 3 / (4 * (difference.n - 1) - 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Every p corrected for their number, by Holm's method; one that isn't known yet counts, and stays None."""
    corrected: list[float | None] = [None] * len(p_values)
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        corrected[place] = largest
    return corrected


def equal_seeds(level: float) -> int:
    """How many equal differences the sign test needs to be below `level`: the least n with 2^(1-n) < level."""
    return math.floor(math.log2(1 / level)) + 2


def _spread(values: Sequence[float], size: float) -> float | None:
    if len(values) < 2:
        return None
    std = stdev(values)
    return std if std > ROUNDING * size else 0.0


def _interval(values: Sequence[float], std: float | None, confidence: float) -> tuple[float, float] | tuple[None, None]:
    from scipy.special import stdtrit  # scipy.stats has the same, and takes a second to import

    n, mean = len(values), fmean(values)
    if std is None or (std == 0 and n < equal_seeds(1 - confidence)):
        return None, None
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * std / math.sqrt(n)
    return mean - half, mean + half


def _p_value(beyond: float, std: float, n: int) -> float:
    from scipy.special import stdtr

    if beyond == 0:
        return 1.0
    return 2.0 ** (1 - n) if std == 0 else 2 * float(stdtr(n - 1, -abs(beyond / (std / math.sqrt(n)))))


@lru_cache(maxsize=8)
def _resamples(n: int) -> NDArray[np.int64]:
    import numpy as np

    return np.random.default_rng(0).integers(0, n, (RESAMPLES, n))
