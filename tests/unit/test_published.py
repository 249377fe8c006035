"""Printed numbers beside measured ones."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.evidence.measured import last_epochs
from hpo.report.verdict.published import PublishedResult, published
from hpo.storage.rows import Cell, CurvePoint
from tests.unit.report_samples import cell, confirm, diverged, search, study

ROW = {"arm": "grid", "value": 0.85, "where": "table 2"}


def one(
    row: dict[str, Any], cells: list[Cell], curves: list[CurvePoint] | None = None, **fields: Any
) -> PublishedResult:
    [result] = published(study(published=[ROW | row], **fields), cells, last_epochs(cells, curves or []))
    return result


def point(of: Cell, epoch: int, accuracy: float, loss: float | None) -> CurvePoint:
    return CurvePoint(of.id, epoch, 1.0, {"train_accuracy": accuracy, "train_loss": loss})


CONFIRMED = [confirm("grid", seed, 0.9, test) for seed, test in enumerate([0.80, 0.82, 0.84], start=1000)]
"""A single further run lies within 0.82 ± 4.3027 * 0.02 * sqrt(1 / 3 + 1), which is 0.82 ± 0.0994; the mean of 1000
within 0.82 ± 0.0498."""


@pytest.mark.parametrize(
    ("value", "runs", "contained"),
    [
        (0.85, 1, True),
        (0.919, 1, True),
        (0.920, 1, False),
        (0.720, 1, False),
        (0.869, 1000, True),
        (0.871, 1000, False),
    ],
)
def test_the_arm_s_own_configuration(value: float, runs: int, contained: bool) -> None:
    """Over the confirm seeds, with the difference and whether so many further runs would have the printed mean."""
    found = one({"value": value, "runs": runs}, [search("grid", 0, 0.95), *CONFIRMED], confirm={"seeds": 3})
    assert found.measured is not None
    assert (3, pytest.approx(0.82), "confirm", "") == (
        found.measured.n,
        found.measured.mean,
        found.phase,
        found.missing,
    )
    assert (pytest.approx(0.82 - value), contained) == (found.difference, found.contained)


def test_one_configuration_of_the_arm() -> None:
    """The one that is meant, not the best; of repeats, the mean."""
    cells = [search("grid", slot, score, seed=seed) for slot, score in ((0, 0.7), (1, 0.9)) for seed in (0, 1)]
    found = one({"metric": "validation_accuracy", "params": {"lr.peak": 0.1}}, cells, repeats=2)
    assert found.measured is not None
    assert (2, 0.7, "search", None) == (found.measured.n, found.measured.mean, found.phase, found.contained)


def test_training_numbers_are_those_of_the_last_epoch() -> None:
    """In whatever order the points come."""
    cells = [search("grid", 1, 0.9)]
    curves = [point(cells[0], epoch, 0.1 * epoch, 1 / epoch) for epoch in (1, 3, 2)]
    found = {
        metric: one({"metric": metric, "value": 0.5}, cells, curves) for metric in ("train_accuracy", "train_loss")
    }
    means = {metric: each.measured.mean if each.measured else None for metric, each in found.items()}
    assert {"train_accuracy": pytest.approx(0.3), "train_loss": pytest.approx(1 / 3)} == means


def test_a_diverged_seed_counts_as_elsewhere() -> None:
    """That of guessing on train and test, and no loss."""
    cells = [search("grid", 0, 0.9), confirm("grid", 1000, 0.9, 0.8), diverged("grid", 1001)]
    curves = [point(cells[1], 2, 0.95, 0.1), point(cells[2], 1, 0.5, None)]
    metrics = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
    found = [one({"metric": metric, "value": 0.5}, cells, curves, confirm={"seeds": 2}).measured for metric in metrics]
    expected = [(2, 0.45), (1, 0.2), (2, 0.525), (1, 0.1)]
    assert expected == [(each.n, pytest.approx(each.mean)) if each else None for each in found]


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        ({}, "only confirmed configurations are scored on test"),
        ({"params": {"lr.peak": 0.3}}, "no such trial has finished"),
        ({"metric": "train_loss"}, "not measured"),
        ({"arm": "ramp"}, "no such trial has finished"),
    ],
)
def test_what_is_not_measured_says_why(row: dict[str, Any], missing: str) -> None:
    """Nothing confirmed, nothing that matches, no curves, nothing done."""
    cells = [search("grid", 0, 0.9), search("grid", 2, 0.5, "pruned"), cell("ramp", "search", 0, state="leased")]
    found = one(row, cells, confirm={"seeds": 2})
    assert (None, None, None, None, missing) == (
        found.measured,
        found.phase,
        found.difference,
        found.contained,
        found.missing,
    )
