"""The batch size as a strength that moves: which images a step takes, and what the epoch reports."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from hpo.trainers.images.data import Splits
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from tests.unit.digits import digits

SOURCE = {"kind": "digits", "validation": 100, "train_limit": 120}


@pytest.fixture(scope="module")
def splits() -> Splits:
    """120 training images."""
    return digits(SOURCE)


def run(
    splits: Splits, batch_size: int, lr: dict[str, Any], others: dict[str, Any] | None = None, **batches: Any
) -> Run:
    """A run over two epochs, the batch size multiplied as `batches` says, beside `others` that regularize."""
    table: dict[str, Any] = {
        "epochs": 2,
        "batch_size": batch_size,
        "data": SOURCE,
        "model": {"kind": "mlp", "hidden": [8]},
        "optimizer": {"kind": "sgd", "momentum": 0.9},
        "lr": lr,
        "regularizers": ({"batches": {"kind": "batch_size", **batches}} if batches else {}) | (others or {}),
    }
    return Run(TrialSpec.model_validate(table), 7, splits)


def epoch(running: Run) -> list[int]:
    """Train for an epoch; returns by how many minibatches each step took the clock on."""
    taken, end = [], running.clock.epoch + 1
    while running.clock.epoch < end:
        before = running.clock.step
        running.step()
        taken.append(running.clock.step - before)
    return taken


def test_three_together_are_a_batch_three_times_as_large(splits: Splits) -> None:
    """The same images in the same steps, so the same weights and the same scores."""
    lr = {"kind": "cosine", "peak": 0.1}
    together, large = run(splits, 20, lr, strength=3.0), run(splits, 60, lr)
    for _ in range(2):
        assert [3, 3] == epoch(together)
        assert [1, 1] == epoch(large)
        assert large.evaluate().validation == together.evaluate().validation
    assert large.train is not None and together.train is not None
    assert large.train.accuracy == together.train.accuracy
    assert pytest.approx(large.train.loss) == together.train.loss  # the same sum, added up in another order
    for one, other in zip(large.model.parameters(), together.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_epoch_ends_where_it_ends(splits: Splits) -> None:
    """The last step takes what is left, and the train score is the mean over images, not over steps."""
    running = run(splits, 24, {"kind": "constant", "peak": 1e-12}, strength=3.4)
    assert [3, 2] == epoch(running)
    expected, measured = running.score(splits.train), running.evaluate().train
    assert expected.accuracy == pytest.approx(measured.accuracy)
    assert expected.loss == pytest.approx(measured.loss, rel=1e-5)


def test_it_grows_as_the_learning_rate_falls(splits: Splits) -> None:
    """A policy moves it as any strength; a step takes a whole number of minibatches."""
    lr = {"kind": "stages", "peak": 0.1, "factors": [1.0, 0.2]}
    running = run(splits, 20, lr, strength=1.0, policy={"kind": "follows_lr", "power": 0.5, "limit": 16.0})
    assert [1] * 6 == epoch(running)
    assert 1.0 == running.evaluate().strengths["batches"]
    assert [2, 2, 2] == epoch(running)
    assert pytest.approx(5**0.5) == running.evaluate().strengths["batches"]


def test_less_than_one_minibatch_is_refused() -> None:
    """Half a minibatch is a smaller batch_size."""
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        TrialSpec.model_validate({"regularizers": {"b": {"kind": "batch_size", "strength": 0.5}}})


def test_feedback_counted_in_steps_misses_no_look(splits: Splits) -> None:
    """Three minibatches a step, six an epoch: "every 2 steps" is due before steps 6 and 9, though 9 is no multiple."""
    gap = {"kind": "loss_gap", "raise_above": -1e9, "lower_below": -1e9, "factor": 2.0, "every": {"steps": 2}}
    l2 = {"l2": {"kind": "l2", "strength": 0.01, "policy": gap}}
    running, resumed = (run(splits, 20, {"kind": "cosine", "peak": 0.1}, l2, strength=3.0) for _ in range(2))
    assert [3, 3] == epoch(running)
    assert 0.01 == running.evaluate().strengths["l2"], "nothing has been measured yet"
    running.step()
    assert 0.02 == running._strengths["l2"]
    interrupted = running.checkpoint()
    running.step()
    assert 0.04 == running._strengths["l2"]
    resumed.restore(interrupted)
    resumed.step()
    assert 0.04 == resumed._strengths["l2"]
