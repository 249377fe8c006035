"""Means, intervals and paired differences, against numbers worked by hand from the t table."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.evidence.statistics import (
    Paired,
    Summary,
    bootstrap,
    effect_size,
    equal_seeds,
    holm,
    paired,
    summarize,
    wilcoxon,
)

T_975 = {1: 12.70620474, 2: 4.30265273, 4: 2.77644511}
"""Degrees of freedom -> the 97.5 % point of Student's distribution, as tables print it."""


@pytest.fixture(autouse=True)
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_summary_of_three_values() -> None:
    """[1, 2, 3]: mean 2, standard deviation 1, so 2 ± t / sqrt(3)."""
    summary = summarize([3.0, 1.0, 2.0])
    assert (3, 2.0, 1.0, 3.0, 1.0) == (summary.n, summary.mean, summary.std, summary.best, summary.worst)
    half = T_975[2] / math.sqrt(3)
    assert pytest.approx((2 - half, 2 + half)) == (summary.low, summary.high)


def test_summary_at_another_confidence() -> None:
    """At 90 % the t value of two degrees of freedom is 2.91998558."""
    assert pytest.approx(2 + 2.91998558 / math.sqrt(3)) == summarize([1.0, 2.0, 3.0], confidence=0.9).high


def test_one_value_has_no_spread() -> None:
    """A single value says nothing about spread."""
    assert Summary(1, 0.5, None, 0.5, 0.5, None, None) == summarize([0.5])


def test_equal_values_have_an_interval_from_six_on() -> None:
    """Six equal values have a chance of 2^-5 = 3.1 % if high and low were as likely, five one of 6.2 %."""
    assert Summary(5, 0.5, 0.0, 0.5, 0.5, None, None) == summarize([0.5] * 5)
    assert Summary(6, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5) == summarize([0.5] * 6)
    assert [6, 7, 8] == [equal_seeds(level) for level in (0.05, 0.025, 0.01)]


def test_the_best_loss_is_the_lowest() -> None:
    """For losses, lower is better."""
    summary = summarize([0.3, 0.1], lower_is_better=True)
    assert (0.1, 0.3) == (summary.best, summary.worst)


def test_paired_differences_over_common_seeds() -> None:
    """Seeds 1, 2, 3 give differences 1, 2, 3: t = 2 sqrt(3), and p = 1 - t / sqrt(t² + 2) for two degrees."""
    a = {1: 11.0, 2: 12.0, 3: 13.0, 7: 99.0}
    b = {3: 10.0, 2: 10.0, 1: 10.0, 8: 0.0}
    result = paired(a, b)
    assert result is not None
    assert (3, 2.0) == (result.n, result.difference)
    half = T_975[2] / math.sqrt(3)
    assert pytest.approx((2 - half, 2 + half)) == (result.low, result.high)
    assert pytest.approx(1 - math.sqrt(12 / 14)) == result.p


def test_one_common_seed_has_no_interval() -> None:
    """One difference says nothing about spread."""
    assert Paired(1, 1.0, None, None, None) == paired({1: 3.0, 2: 5.0}, {1: 2.0})


def test_no_common_seed_is_no_comparison() -> None:
    """Different seeds can't be paired."""
    assert paired({1: 3.0}, {2: 2.0}) is None


def test_a_difference_is_tested_against_a_margin() -> None:
    """Differences 1, 2, 3 against 1: t = sqrt(3), half of that against 0, and the same interval."""
    a, b = {1: 11.0, 2: 12.0, 3: 13.0}, {1: 10.0, 2: 10.0, 3: 10.0}
    plain, against = paired(a, b), paired(a, b, margin=1.0)
    assert plain is not None and against is not None
    assert pytest.approx(1 - math.sqrt(3 / 5)) == against.p
    assert (plain.low, plain.high) == (against.low, against.high)


@pytest.mark.parametrize(
    ("a", "b", "difference", "p", "has_interval"),
    [
        ([0.5, 0.7], [0.5, 0.7], 0.0, 1.0, False),
        ([0.75, 0.5], [0.5, 0.25], 0.25, 0.5, False),
        ([0.9, 0.7, 0.4], [0.8, 0.6, 0.3], 0.1, 0.25, False),  # equal but for rounding
        ([0.0, 0.0], [0.0, 0.0], 0.0, 1.0, False),
        ([0.75] * 5, [0.5] * 5, 0.25, 0.0625, False),
        ([0.75] * 6, [0.5] * 6, 0.25, 0.03125, True),
        ([0.5] * 6, [0.5] * 6, 0.0, 1.0, True),
    ],
)
def test_equal_differences_are_judged_by_their_sign(
    a: list[float], b: list[float], difference: float, p: float, has_interval: bool
) -> None:
    """Without a spread there is no t statistic, and a few equal differences are no certainty."""
    result = paired(dict(enumerate(a)), dict(enumerate(b)))
    assert result is not None
    assert (pytest.approx(difference), p, 0.0) == (result.difference, result.p, result.std)
    assert ((result.difference,) * 2 if has_interval else (None, None)) == (result.low, result.high)


def test_the_bootstrap_agrees_with_scipy_and_is_always_the_same() -> None:
    """The percentile interval, up to one step of a mean of seven tenths."""
    from scipy.stats import bootstrap as scipys

    values = [0.3, 0.9, 0.1, 0.5, 0.8, 0.4, 0.7]
    theirs = scipys((values,), lambda x, axis: x.mean(axis), method="percentile", n_resamples=20_000, random_state=1)
    assert pytest.approx(tuple(theirs.confidence_interval), abs=0.1 / 7 + 1e-9) == bootstrap(values)
    assert bootstrap(values) == bootstrap(values)
    assert (None, (0.5, 0.5)) == (bootstrap([0.5]), bootstrap([0.5, 0.5]))


def test_the_bootstrap_of_two_values_reaches_from_one_to_the_other() -> None:
    """A quarter of the resamples has the one twice, a quarter the other."""
    assert (1.0, 2.0) == bootstrap([2.0, 1.0])


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0], 2 / 32),  # all of 2^5 signs are as extreme but two
        ([1.0, 2.0, 3.0, 4.0, -5.0], 20 / 32),  # 1 + 1 + 1 + 2 + 2 + 3 ways have a rank sum of 0 to 5
        ([2.0, 2.0, 2.0], 2 / 8),  # ties
        ([0.0, 1.0, 0.0, 2.0], 2 / 4),  # zeros are left out
        ([0.0, 0.0], 1.0),
        ([0.1 + 0.2 - 0.3, 0.0], 1.0),  # zero but for rounding
        ([1.0], None),
        ([], None),
    ],
)
def test_the_signed_rank_test_is_exact(differences: list[float], p: float | None) -> None:
    """Counted by hand: the share of all ways to set the signs that are at least as far from the middle."""
    assert (None if p is None else pytest.approx(p)) == wilcoxon(differences)


def test_the_effect_size_is_corrected_for_few_seeds() -> None:
    """Differences 1, 2, 3: d_z = 2, times 1 - 3 / (4 * 2 - 1)."""
    result = paired({1: 11.0, 2: 12.0, 3: 13.0}, dict.fromkeys((1, 2, 3), 10.0))
    assert result is not None
    assert pytest.approx(2 * 4 / 7) == effect_size(result)
    assert [None, None] == [effect_size(Paired(1, 1.0, None, None, None)), effect_size(Paired(2, 1, 1, 1, 0.5, 0.0))]


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 4 x 0.005, 3 x 0.01, 2 x 0.03, then no lower
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([0.02, None, 0.03], [0.06, None, 0.06]),  # one that isn't known yet counts
        ([], []),
    ],
)
def test_holm(p_values: list[float | None], corrected: list[float | None]) -> None:
    """The k-th smallest of m is multiplied by m - k + 1 and never falls below one before it."""
    assert corrected == [None if p is None else pytest.approx(p) for p in holm(p_values)]


values = st.dictionaries(st.integers(0, 20), st.floats(0, 1).map(lambda x: round(x, 3)), min_size=2, max_size=8)


@settings(deadline=None)  # the first example imports scipy
@given(a=values, b=values)
def test_paired_agrees_with_scipy_and_is_antisymmetric(a: dict[int, float], b: dict[int, float]) -> None:
    """Turned round, p stays the same; the interval excludes 0 exactly when p is below 0.05."""
    forward, backward = paired(a, b), paired(b, a)
    if forward is None or backward is None:
        assert not a.keys() & b.keys()
        return
    assert pytest.approx(-backward.difference) == forward.difference
    assert backward.p == forward.p
    if forward.low is None or forward.high is None or forward.p is None:
        assert len(a.keys() & b.keys()) == 1 or (0.0, True) == (forward.std, forward.n < 6)
        return
    from scipy.stats import ttest_rel

    seeds = sorted(a.keys() & b.keys())
    if forward.low < forward.high:
        assert pytest.approx(ttest_rel([a[s] for s in seeds], [b[s] for s in seeds]).pvalue) == forward.p
    if abs(forward.p - 0.05) > 1e-6:
        assert (forward.p < 0.05) == (forward.low > 0 or forward.high < 0)
