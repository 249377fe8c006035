"""The shipped table of curves: complete, what training gives, and found by its nearest values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.curves import Table, load, nearest
from benchmarks.curves.make import EPOCHS, PEAKS, POLICIES, SCHEDULES, SEEDS, STRENGTHS, TRIAL, splits, train, trial
from hpo.trainers.images.device import configure_torch


@pytest.fixture(scope="module")
def table() -> Table:
    """As it is shipped."""
    return load()


def test_it_is_what_its_program_makes(table: Table) -> None:
    """The same trial, the same axes, and a curve at every place; only diverged ones are shorter."""
    assert TRIAL == table.about["trial"]
    assert (tuple(SEEDS), tuple(SCHEDULES), tuple(PEAKS)) == (table.seeds, table.schedules, table.peaks)
    assert (tuple(STRENGTHS), tuple(POLICIES)) == (table.strengths, table.policies)
    shape = (len(SEEDS), len(SCHEDULES), len(PEAKS), len(STRENGTHS), len(POLICIES))
    assert shape == table.epochs.shape and (*shape, EPOCHS) == table.validation_right.shape
    assert 1 <= table.epochs.min() and table.epochs.max() == EPOCHS
    assert 0.02 > np.mean(table.epochs < EPOCHS) > 0


def test_an_entry_trained_again(table: Table) -> None:
    """It is what `fit` gives, but for what another processor or version of torch changes."""
    configure_torch(torch.device("cpu"))
    told, outcome = train(trial("cosine", PEAKS[6], STRENGTHS[7], "up"), SEEDS[1], splits())
    curve = table.curve(seed=SEEDS[1], schedule="cosine", peak=PEAKS[6], strength=STRENGTHS[7], policy="up")
    again = [evaluation.validation.accuracy for evaluation in told]
    assert again == pytest.approx(curve.validation.tolist(), abs=0.05)
    assert outcome.test is not None
    assert outcome.test.accuracy == pytest.approx(curve.test, abs=0.05)


def test_what_must_be_equal_is(table: Table) -> None:
    """Every policy leaves a strength of 0 where it is, and one that follows a constant learning rate holds."""
    right, hold = table.validation_right, table.policies.index("hold")
    assert (right[:, :, :, 0] == right[:, :, :, 0, [hold]]).all()
    constant = right[:, table.schedules.index("constant")]
    assert (constant[..., table.policies.index("follows_lr"), :] == constant[..., hold, :]).all()
    assert (right[..., 1:, table.policies.index("up"), :] != right[..., 1:, table.policies.index("down"), :]).any()


def test_the_best_are_few(table: Table) -> None:
    """Accuracies spread, and few configurations come near the best: a search has something to find."""
    last = table.validation_right[..., -1] / table.about["images"]["validation"]
    for of_seed in last:
        assert np.quantile(of_seed, 0.25) < 0.6 < 0.85 < np.quantile(of_seed, 0.75) < of_seed.max() < 0.97
        assert np.mean(of_seed >= of_seed.max() - 0.01) < 0.05


@pytest.mark.parametrize(
    ("wanted", "place"), [(0.0, 0), (1e-12, 1), (2e-3, 2), (4e-3, 2), (6e-3, 3), (0.01, 3), (5.0, 3)]
)
def test_the_nearest_value(wanted: float, place: int) -> None:
    """By its logarithm; 0 is reached by 0 alone."""
    assert place == nearest((0.0, 1e-4, 3e-3, 1e-2), wanted)


def test_what_is_not_there(table: Table) -> None:
    """A name that the table lacks is told with those that it has."""
    with pytest.raises(ValueError, match=r"schedule 'linear' is not in the table, which has constant, cosine"):
        table.curve(seed=0, schedule="linear", peak=0.1, strength=0.0, policy="hold")
    with pytest.raises(ValueError, match=r"0\.0 is not in the table"):
        nearest((1.0, 2.0), 0.0)
