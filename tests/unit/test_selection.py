"""The expected best of n, against all draws counted one by one."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean

import pytest

from hpo.report.verdict.selection import MOST_POINTS, BestOf, best_of, expected_best
from hpo.trainers.images.reported import OBJECTIVE
from tests.unit.report_samples import cell, confirm, search


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_best_of_is_the_mean_over_all_draws(n: int) -> None:
    """Every way to draw n of five scores, two of them equal."""
    scores = [0.1, 0.4, 0.4, 0.7, 0.9]
    assert pytest.approx(fmean(max(draw) for draw in combinations(scores, n))) == best_of(scores, n)


def test_all_trials_that_were_tried_count() -> None:
    """A pruned one with what it had, a diverged one with 0, repeats as one; what isn't done doesn't."""
    cells = [
        search("grid", 0, 0.8, epochs=4, seed=0),
        search("grid", 0, 0.6, epochs=4, seed=1),
        search("grid", 1, 0.5, "pruned", epochs=1),
        search("grid", 2, None, "diverged", epochs=3),
        cell("grid", "search", 3, state="leased"),
        cell("grid", "search", 4, state="failed"),
        confirm("grid", 0, 0.99, 0.99),
    ]
    found = expected_best(OBJECTIVE, [one for one in cells if one.phase == "search"], 3)
    assert [(1, 4.0), (2, 8.0), (3, 12.0)] == [(one.n, one.epochs) for one in found]
    assert pytest.approx([1.2 / 3, 1.9 / 3, 0.7]) == [one.score for one in found]


def test_nothing_tried() -> None:
    """No trial, no curve."""
    assert () == expected_best(OBJECTIVE, [cell("grid", "search", 0, state="planned")], 1)


def test_a_single_trial() -> None:
    """Its own score."""
    assert (BestOf(1, 2.0, 0.8),) == expected_best(OBJECTIVE, [search("grid", 0, 0.8)], 1)


def test_of_many_trials_some_numbers_are_chosen() -> None:
    """From one to all, with powers of four and the number that other arms are compared at; rising."""
    found = expected_best(OBJECTIVE, [search("grid", slot, slot / 10_000) for slot in range(5000)], 1234)
    shown = [one.n for one in found]
    assert {1, 4, 16, 64, 256, 1024, 4096, 1234, 5000} <= set(shown)
    assert len(shown) < MOST_POINTS + 10
    assert sorted(one.score for one in found) == [one.score for one in found]
    assert 0.4999 == found[-1].score
