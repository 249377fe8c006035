"""How many seeds decide, against printed tables of power."""

from __future__ import annotations

import pytest

from hpo.evidence.power import power, seeds_needed
from hpo.evidence.statistics import Paired


@pytest.mark.parametrize(
    ("effect", "n", "expected"),
    [
        (0.5, 34, 0.8078),  # G*Power 3.1's manual: two dependent means, d_z 0.5, 34 pairs
        (0.8, 15, 0.8213),
        (0.2, 199, 0.8017),
        (0.0, 5, 0.05),  # no difference: the level
        (20.0, 1000, 1.0),
    ],
)
def test_power_of_the_paired_t_test(effect: float, n: int, expected: float) -> None:
    """Two-sided at 5 %; the sign of the effect doesn't matter."""
    assert pytest.approx(expected, abs=1e-4) == power(effect, n, 0.05)
    assert power(effect, n, 0.05) == power(-effect, n, 0.05)


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (-1.0, 10)])
def test_seeds_for_a_power_of_80_percent(effect: float, n: int) -> None:
    """The known numbers for small, medium and large effects."""
    assert n == seeds_needed(Paired(5, effect, None, None, 0.5, 1.0), 0.0, 0.05)


def test_seeds_are_the_fewest() -> None:
    """For effects of every size. (Far above what is needed, scipy's tails are now and then no number.)"""
    for tenths in range(2, 60):
        n = seeds_needed(Paired(5, tenths / 10, None, None, 0.5, 1.0), 0.0, 0.05 / 11)
        assert n is not None
        assert power(tenths / 10, n, 0.05 / 11) >= 0.8
        assert n == 2 or power(tenths / 10, n - 1, 0.05 / 11) < 0.8


def test_seeds_count_from_the_margin() -> None:
    """A difference of 1.5 against 1 is an effect of 0.5."""
    assert 34 == seeds_needed(Paired(5, 1.5, None, None, 0.5, 1.0), 1.0, 0.05)


def test_what_no_number_of_seeds_decides() -> None:
    """An effect of 0.05 takes 3,142 seeds, and one at the margin any number."""
    assert None is seeds_needed(Paired(5, 0.05, None, None, 0.5, 1.0), 0.0, 0.05)
    assert None is seeds_needed(Paired(5, 0.91 - 0.90, None, None, 1.0, 1.0), 0.01, 0.05)


def test_equal_differences_take_as_many_as_the_sign_test() -> None:
    """2^-5 is below 5 %, 2^-6 below 2.5 %."""
    assert [6, 7] == [seeds_needed(Paired(3, 0.1, None, None, 0.25, 0.0), 0.0, level) for level in (0.05, 0.025)]
