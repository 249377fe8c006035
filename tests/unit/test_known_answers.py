"""Simulated studies whose answer is known: `make check-statistics` as a test, with the same seeds."""

from __future__ import annotations

from benchmarks.known_answers import kept, measure, simulate


def test_verdicts_keep_their_promises() -> None:
    """Coverage, false verdicts and power over 2,500 studies."""
    found = measure()
    assert kept(found), found


def test_coarse_accuracies_do_not_make_false_verdicts() -> None:
    """With 360 test images a paired difference is a small whole number of them, and often the same twice."""
    found = simulate(200, 0.0, seed=3, images=360)
    assert found.supported <= 0.05
    assert found.covered >= 0.90
