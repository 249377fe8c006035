"""What a search got for its epochs, worked by hand."""

from __future__ import annotations

import pytest

from hpo.report.verdict.compare import compare
from hpo.report.verdict.efficiency import Audit, Efficiency, Step, best_so_far, efficiencies
from hpo.storage.rows import Cell
from hpo.trainers.images.reported import OBJECTIVE
from tests.unit.report_samples import cell, search, study


def baseline(*scores: float) -> list[Cell]:
    return [search("grid", slot, score) for slot, score in enumerate(scores)]


def test_best_so_far_in_the_order_of_ending() -> None:
    """Not of planning; what was pruned, diverged or failed costs epochs and counts for nothing."""
    cells = [
        search("ramp", 0, 0.9, finished=50.0, epochs=2, seconds=1.5),
        search("ramp", 1, 0.5, finished=10.0, epochs=2, seconds=0.5),
        search("ramp", 2, 0.99, "pruned", finished=20.0, epochs=1, seconds=0.25),
        search("ramp", 3, None, "diverged", finished=30.0, epochs=1, seconds=0.25, params={"lr.peak": 0.4}),
        cell("ramp", "search", 4, state="failed", epochs=3, seconds=1.0, finished=40.0),
        search("ramp", 5, 0.4, finished=60.0, params={"lr.peak": 0.5}),
        cell("ramp", "search", 6, state="leased", epochs=1),
    ]
    found = efficiencies(study(), [*cells, *baseline(0.7)])["ramp"]
    assert (Step(2, 0.5, 0.5), Step(9, 3.5, 0.9)) == found.best_so_far
    assert (Step(9, 3.5, 0.9), 1) == (found.reached, found.saved)


def test_a_configuration_is_known_with_its_last_repeat() -> None:
    """By its mean, as it is chosen by."""
    cells = [search("grid", slot, score, seed=seed) for seed, score in ((0, 0.9), (1, 0.7)) for slot in (0, 1)]
    assert [(6, pytest.approx(0.8))] == [(step.epochs, step.score) for step in best_so_far(OBJECTIVE, cells)]


def test_the_area_is_over_the_epochs_that_every_arm_spent() -> None:
    """grid: guessing (0.1) for 2 epochs, 0.5 for 2, in 4 of its 6 epochs; ramp: guessing for 2, 0.6 for 2."""
    cells = [*baseline(0.5, 0.5, 0.9), search("ramp", 0, 0.6), search("ramp", 1, 0.6)]
    found = efficiencies(study(), cells)
    assert pytest.approx({"grid": 0.3, "ramp": 0.35}) == {arm: one.area for arm, one in found.items()}


@pytest.mark.parametrize(("best", "epochs"), [(0.9, 4), (0.8, 4), (0.79, None)])
def test_when_the_baseline_was_reached(best: float, epochs: int | None) -> None:
    """As soon as the best so far is not below the baseline's best."""
    cells = [*baseline(0.8, 0.7), search("ramp", 0, 0.5), search("ramp", 1, best)]
    reached = efficiencies(study(), cells)["ramp"].reached
    assert epochs == (reached.epochs if reached else None)


def test_nothing_done_and_nothing_finished() -> None:
    """No curve, no area, and a baseline that has nothing is reached by none."""
    nothing = Efficiency(best_so_far=(), reached=None, area=None, saved=0, audit=None)
    assert {"grid": nothing, "ramp": nothing} == efficiencies(study(), [])
    cells = [search("grid", 0, None, "diverged"), search("ramp", 0, 0.9)]
    found = efficiencies(study(), cells)
    assert [(), 0.1, None] == [found["grid"].best_so_far, found["grid"].area, found["ramp"].reached]


def audited(finals: list[float | None]) -> list[Cell]:
    ended = ["diverged" if final is None else "finished" for final in finals]
    return [
        cell("ramp", "audit", slot, score=final or 0.0, validation_accuracy=final, ended=end)
        for slot, (final, end) in enumerate(zip(finals, ended, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("finals", "n", "won", "low", "high"),
    [
        ([0.5, 0.9, 0.8, 0.95], 4, 2, 0.0676, 0.9324),  # equal to the best is no win
        ([0.5, None, 0.5, 0.5, 0.5], 5, 0, 0.0, 0.5218),  # 1 - 0.025^(1/5)
        ([0.9], 1, 1, 0.025, 1.0),
    ],
)
def test_wrongly_pruned_trials(finals: list[float | None], n: int, won: int, low: float, high: float) -> None:
    """Those that beat the best finished one, with Clopper and Pearson's interval as tables print it."""
    cells = [*baseline(0.8), search("ramp", 0, 0.8), search("ramp", 1, 0.3, "pruned", epochs=1), *audited(finals)]
    found = efficiencies(study(), cells)
    assert found["grid"].audit is None
    assert Audit(n, won, pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5)) == found["ramp"].audit


def test_an_audit_keeps_a_report_open_but_no_claim() -> None:
    """The pruned trial is still to be run to its end; the claim doesn't wait for it."""
    claims = [{"text": "t", "greater": {"arm": "ramp", "than": "grid", "metric": "validation_accuracy"}}]
    cells = [*baseline(0.8, 0.7, 0.6), search("ramp", 0, 0.8), search("ramp", 1, 0.3, "pruned", epochs=1)]
    cells += [search("ramp", slot, 0.5) for slot in (2, 3)]
    spec = study(claims=claims, audit=1, sampler="random")
    report = compare(spec, cells[:6])
    assert ("ramp: audit of the pruner, 1 of 1 trial not done yet",) == report.unfinished
    assert [False] == [claim.provisional for claim in report.claims]
    assert () == compare(spec, [*cells[:6], *audited([0.9])]).unfinished
