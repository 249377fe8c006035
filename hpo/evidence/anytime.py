"""Tests that stay valid however often one looks, and whenever one stops: for seeds that are added until it is decided.

The t statistic of n differences has under an effect of d standard deviations a likelihood that no longer depends on
their spread, which is what the right-Haar prior on it gives. Mixed over d by a normal distribution of mean 0 and
variance v, and divided by the likelihood under no effect, it is

    e = (1 + n v)^(-1/2) ((1 + t^2 / (n - 1)) / (1 + t^2 / ((n - 1) (1 + n v))))^(n / 2),

a nonnegative martingale that begins at 1 if there is no difference (Gönen et al. 2005 for the formula; Lai 1976;
Grünwald, de Heide and Koolen 2024, Wang and Ramdas 2025 for why). By Ville's inequality it ever exceeds 1 / level with
a chance of at most `level`, so 1 / e is a p value at any time, and the differences that it does not exclude are a
confidence sequence.

Equal differences show no spread. Then signs are bet on: under none, n equal ones have a chance of 2^-n each, and all of
one sign one of 1 / (n + 1) if the share of that sign may be anything, which gives e = 2^n / (n + 1).
"""

from __future__ import annotations

import math

VARIANCE = 2.0
"""How far the effects spread that are mixed over. Differences under the same seeds are often more than a standard
deviation: for 1 to 3 of them this takes the fewest seeds, in batches of five; for 0.5, a few more than 1.0 would."""


def anytime_p(beyond: float, std: float, n: int) -> float:
    """The p value of n >= 2 differences that lie `beyond` the margin on average, with this deviation."""
    if beyond == 0:
        return 1.0
    if std == 0:
        return min(1.0, (n + 1) * 2.0**-n)
    ratio = n * (beyond / std) ** 2 / (n - 1)  # t squared by its degrees of freedom
    wide = n * VARIANCE
    log_e = (n * (math.log1p(ratio) - math.log1p(ratio / (1 + wide))) - math.log1p(wide)) / 2
    return min(1.0, math.exp(-log_e))


def half_width(std: float, n: int, level: float) -> float | None:
    """Half the width of the confidence sequence after n differences; None while it still contains every number."""
    if std == 0:
        return 0.0 if anytime_p(1.0, 0.0, n) < level else None
    wide = n * VARIANCE
    bound = math.exp((math.log1p(wide) - 2 * math.log(level)) / n)
    if bound >= 1 + wide:
        return None
    ratio = (bound - 1) / (1 - bound / (1 + wide))
    return std * math.sqrt(ratio * (n - 1) / n)
