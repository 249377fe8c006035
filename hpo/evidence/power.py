"""How many seeds would decide a comparison: the power of the paired t test (Cohen 1988).

Under n seeds and a true difference of d standard deviations, t has the noncentral t distribution with n - 1 degrees
of freedom and noncentrality d sqrt(n).
"""

from __future__ import annotations

from hpo.evidence.statistics import Paired, equal_seeds

POWER = 0.8
MOST_SEEDS = 1000
"""The most seeds: as many as a confirm phase may have."""


def power(effect: float, n: int, level: float) -> float:
    """The chance that n >= 2 seeds show a difference of `effect` standard deviations, two-sided at `level`."""
    from scipy.special import ncfdtr, stdtrit  # t squared is noncentral F, whose tails scipy finds for every effect

    threshold = float(stdtrit(n - 1, 1 - level / 2))
    return 1 - float(ncfdtr(1, n - 1, effect**2 * n, threshold**2))


def smallest_effect(n: int, level: float) -> float:
    """The smallest difference, in standard deviations, that n >= 2 seeds show with a chance of `POWER`."""
    low, high = 0.0, 1.0
    while power(high, n, level) < POWER:
        low, high = high, 2 * high
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, n, level) < POWER else (low, middle)
    return high


def seeds_needed(difference: Paired, margin: float, level: float) -> int | None:
    """Seeds that decide with a chance of `POWER` if the difference and its spread stay; None: not `MOST_SEEDS`."""
    beyond = abs(difference.difference - margin)
    if beyond < 1e-12:
        return None
    if not difference.std:
        return equal_seeds(level)
    effect = beyond / difference.std

    def decides(n: int) -> bool:
        return power(effect, n, level) >= POWER

    # From below: far above what is needed, scipy's tails are now and then no number.
    few, enough = 1, 2
    while not decides(enough):
        if enough == MOST_SEEDS:
            return None
        few, enough = enough, min(2 * enough, MOST_SEEDS)
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if decides(middle) else (middle, enough)
    return enough
