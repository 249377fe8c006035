"""Means, intervals and paired differences, against numbers worked by hand from the t table."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.report.statistics import Paired, Summary, paired, summarize

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


def test_equal_values_have_an_empty_interval() -> None:
    """No spread at all is a spread of 0."""
    assert Summary(3, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5) == summarize([0.5, 0.5, 0.5])


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


@pytest.mark.parametrize(
    ("a", "b", "difference", "p"),
    [
        ({1: 0.5, 2: 0.7}, {1: 0.5, 2: 0.7}, 0.0, 1.0),
        ({1: 0.75, 2: 0.5}, {1: 0.5, 2: 0.25}, 0.25, 0.0),
        ({1: 0.9, 2: 0.7, 3: 0.4}, {1: 0.8, 2: 0.6, 3: 0.3}, 0.1, 0.0),  # equal but for rounding
        ({1: 0.0, 2: 0.0}, {1: 0.0, 2: 0.0}, 0.0, 1.0),
    ],
)
def test_equal_differences_collapse_the_interval(
    a: dict[int, float], b: dict[int, float], difference: float, p: float
) -> None:
    """Without spread there is no t statistic: p is 1 for no difference, and 0 for the same one everywhere."""
    result = paired(a, b)
    assert result is not None
    assert result.low == result.high == result.difference == pytest.approx(difference)
    assert p == result.p


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
        assert len(a.keys() & b.keys()) == 1
        return
    from scipy.stats import ttest_rel

    seeds = sorted(a.keys() & b.keys())
    if forward.low < forward.high:
        assert pytest.approx(ttest_rel([a[s] for s in seeds], [b[s] for s in seeds]).pvalue) == forward.p
    if abs(forward.p - 0.05) > 1e-6:
        assert (forward.p < 0.05) == (forward.low > 0 or forward.high < 0)
