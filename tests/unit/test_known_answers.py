"""Simulated studies whose answer is known: `make check-statistics` as a test, of fewer studies."""

from __future__ import annotations

from benchmarks.known_answers import kept, measure, simulate

FEW = 80
"""Studies of each kind; `make check-statistics` takes a thousand."""


def test_verdicts_keep_their_promises() -> None:
    """Coverage, false verdicts, power, procedures, sequences and equality, as far as few studies tell."""
    found = measure(FEW)
    assert kept(found, FEW), found


def test_coarse_accuracies_do_not_make_false_verdicts() -> None:
    """With 300 test images a paired difference is a small whole number of them, and often the same twice."""
    found = simulate(200, 0.0, seed=3, kind="tied")
    assert found.supported <= 0.05
    assert found.covered >= 0.90
