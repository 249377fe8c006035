"""Tests that may be looked at as often as one likes: against the integral that they are, and in repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import nct, norm, t

from hpo.evidence.anytime import VARIANCE, anytime_p, half_width
from hpo.evidence.statistics import paired


def mixture(statistic: float, n: int) -> float:
    """The likelihood of a t statistic over effects from N(0, VARIANCE), by its likelihood under none; by quadrature."""
    wide = math.sqrt(VARIANCE)

    def weighed(effect: float) -> float:
        return float(nct.pdf(statistic, n - 1, effect * math.sqrt(n)) * norm.pdf(effect, scale=wide))

    of_effect = quad(weighed, -12, 12, limit=400)[0]
    return float(of_effect / t.pdf(statistic, n - 1))


@pytest.mark.parametrize(("mean", "std", "n"), [(0.3, 1.0, 5), (1.5, 1.0, 5), (-0.8, 0.5, 10), (2.0, 1.0, 8)])
def test_e_is_the_mixture_of_likelihoods(mean: float, std: float, n: int) -> None:
    """Of the t statistic, whose distribution under an effect is the noncentral t distribution."""
    e = mixture(mean / std * math.sqrt(n), n)
    assert pytest.approx(min(1.0, 1 / e), rel=1e-6) == anytime_p(mean, std, n)


@pytest.mark.parametrize("n", [5, 8, 20, 100])
def test_the_interval_is_what_is_not_excluded(n: int) -> None:
    """Just within its ends p is above the level, and just beyond them below it."""
    half = half_width(2.0, n, 0.05)
    assert half is not None
    assert anytime_p(0.999 * half, 2.0, n) > 0.05 > anytime_p(1.001 * half, 2.0, n)


def test_too_few_differences_exclude_nothing() -> None:
    """With two or three, every number is in the interval."""
    assert [None, None] == [half_width(1.0, n, 0.05) for n in (2, 3)]
    assert anytime_p(1e9, 1.0, 2) > 0.05
    assert half_width(1.0, 5, 0.05) is not None


def test_equal_differences() -> None:
    """Seven of one sign are not enough, eight are: 9 / 256 is below 5 %."""
    assert [8 / 128, 9 / 256] == [anytime_p(0.1, 0.0, n) for n in (7, 8)]
    assert [None, 0.0] == [half_width(0.0, n, 0.05) for n in (7, 8)]
    assert 1.0 == anytime_p(0.0, 0.0, 100)


def test_looking_after_every_one_errs_at_most_at_the_level() -> None:
    """Of 2000 sequences of 60 without a difference; the fixed t test errs in every third if one looks as often."""
    values = np.random.default_rng(3).normal(size=(2000, 60))
    numbers = range(2, 61)
    ever = {"anytime": 0, "fixed": 0}
    for own in values:
        means = np.cumsum(own) / np.arange(1, 61)
        squares = np.cumsum(own**2)
        stds = [math.sqrt((squares[n - 1] - n * means[n - 1] ** 2) / (n - 1)) for n in numbers]
        looks = list(zip(means[1:], stds, numbers, strict=True))
        ever["anytime"] += any(anytime_p(mean, std, n) < 0.05 for mean, std, n in looks)
        ever["fixed"] += any(abs(mean / std) * math.sqrt(n) > t.ppf(0.975, n - 1) for mean, std, n in looks)
    assert ever["anytime"] / 2000 < 0.05
    assert ever["fixed"] / 2000 > 0.25


def test_a_paired_comparison() -> None:
    """The same difference, a wider interval, and a p value of another kind."""
    a, b = {seed: 0.9 + 0.01 * (seed % 3) for seed in range(12)}, dict.fromkeys(range(12), 0.9)
    fixed, anytime = paired(a, b), paired(a, b, anytime=True)
    assert fixed is not None and anytime is not None
    assert (fixed.difference, fixed.std, fixed.n) == (anytime.difference, anytime.std, anytime.n)
    assert fixed.p is not None and anytime.p is not None and fixed.p < anytime.p < 0.05
    assert fixed.low is not None and anytime.low is not None and anytime.low < fixed.low
