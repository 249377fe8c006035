"""Replayed searches on the shipped table: what they spend, and that they are the same twice."""

from __future__ import annotations

import math

import pytest

from benchmarks.curves.replay import replay
from benchmarks.search import GRID, TRAINING_SEEDS, methods, recorded, repeat, space_scores
from hpo.search.parameters import grid

EPOCHS, BUDGET = 20, 240
METHODS = methods()


def test_a_grid_is_run_in_full() -> None:
    """Every point once and in order, none stopped early; it reaches its own best with its last epoch at the latest."""
    points = list(grid(GRID))
    curve = recorded(TRAINING_SEEDS[0], "hold")
    ended = replay(METHODS["grid"], curve, EPOCHS, EPOCHS * len(points), seed=0)
    assert points == [one.params for one in ended]
    assert {EPOCHS} == {one.epochs for one in ended}
    assert 0 < repeat("fixed", METHODS["grid"], 1, 0, TRAINING_SEEDS[0]).share <= 1


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("method", ["tpe", "tpe_median", "hyperband"])
def test_the_budget_is_spent(method: str, workers: int) -> None:
    """Never more, and what is left is less than a trial; pruning makes room for more trials; twice is the same."""
    curve = recorded(TRAINING_SEEDS[0], "down")
    ended, again = (replay(METHODS[method], curve, EPOCHS, BUDGET, seed=3, workers=workers) for _ in range(2))
    assert again == ended
    assert BUDGET - EPOCHS < sum(one.epochs for one in ended) == ended[-1].spent <= BUDGET
    assert (len(ended) > BUDGET // EPOCHS) == (method != "tpe")
    assert all((one.accuracy is None) == (one.epochs < EPOCHS) for one in ended if one.accuracy != 0.0)


def test_regret_falls() -> None:
    """More epochs never make the best found worse, and nothing is better than the best of the space."""
    found = repeat("feedback", METHODS["flagship"], 1, 0, TRAINING_SEEDS[0])
    assert 0 <= found.full <= found.quarter < 100 * max(space_scores("accuracy_gap", TRAINING_SEEDS[0]))
    assert 0 < found.share and (math.isinf(found.share) or found.share <= 1)
