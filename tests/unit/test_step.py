"""Where in an optimizer step each regularizer acts: one step of a run against the same step worked out by autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hpo.trainers.images.augment import Augment
from hpo.trainers.images.batches import Batches, Minibatch, Normalize
from hpo.trainers.images.data import Splits
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from tests.unit.digits import digits

SOURCE = {"kind": "digits", "validation": 100, "train_limit": 100}
RATE = 0.1


@pytest.fixture(scope="module")
def splits() -> Splits:
    """100 training images, so an epoch of one step."""
    return digits(SOURCE)


def started(splits: Splits, clip_norm: float | None = None, **regularizers: dict[str, Any]) -> Run:
    """A run of plain gradient descent that has yet to take its only step."""
    table: dict[str, Any] = {
        "epochs": 1,
        "batch_size": 100,
        "data": SOURCE,
        "model": {"kind": "mlp", "hidden": [8]},
        "optimizer": {"kind": "sgd", "momentum": 0.0},
        "lr": {"kind": "constant", "peak": RATE},
        "regularizers": regularizers,
        "clip_norm": clip_norm,
    }
    return Run(TrialSpec.model_validate(table), 7, splits)


def batch(splits: Splits) -> Minibatch:
    return Batches(splits.train, 100, 7, Augment(), Normalize.of(splits)).at(0)


def gradients(run: Run, splits: Splits, smoothing: float = 0.0) -> list[Tensor]:
    """Of the mean cross-entropy over the minibatch, by each parameter, before the step."""
    given = batch(splits)
    loss = functional.cross_entropy(run.model(given.inputs), given.labels, label_smoothing=smoothing)
    return list(torch.autograd.grad(loss, list(run.model.parameters())))


def moves(run: Run) -> list[Tensor]:
    """By what each parameter moves in one step, divided by the learning rate: the gradient as the optimizer met it."""
    before = [p.detach().clone() for p in run.model.parameters()]
    run.step()
    return [(old - new.detach()) / RATE for old, new in zip(before, run.model.parameters(), strict=True)]


def test_masks_come_before_penalties(splits: Splits) -> None:
    """A masked entry still moves by the whole penalty, whichever the file names first."""
    sparse = {"kind": "sparse_gradient", "strength": 0.5}
    decay = {"kind": "weight_decay", "strength": 0.2, "coupled": True, "on": "all"}
    for parts in ({"a": sparse, "b": decay}, {"b": decay, "a": sparse}):
        run = started(splits, **parts)
        loss, weights = gradients(run, splits), [p.detach().clone() for p in run.model.parameters()]
        for gradient, weight, moved in zip(loss, weights, moves(run), strict=True):
            of_loss = moved - 0.2 * weight
            masked = of_loss.abs() < 1e-6
            assert int(masked.sum()) >= round(0.5 * gradient.numel())
            torch.testing.assert_close(of_loss[~masked], gradient[~masked], rtol=1e-3, atol=2e-6)


def length(tensors: list[Tensor]) -> float:
    """The 2-norm of all of them together."""
    return float(torch.stack([tensor.norm() for tensor in tensors]).norm())


def test_a_long_gradient_is_shortened(splits: Splits) -> None:
    """To the given length, in the same direction; a penalty comes after it."""
    run = started(splits, clip_norm=0.05, decay={"kind": "l2", "strength": 0.2, "on": "all"})
    loss, weights = gradients(run, splits), [p.detach().clone() for p in run.model.parameters()]
    assert length(loss) > 0.1
    of_loss = [moved - 0.2 * weight for moved, weight in zip(moves(run), weights, strict=True)]
    assert pytest.approx(0.05, rel=1e-3) == length(of_loss)
    for gradient, moved in zip(loss, of_loss, strict=True):
        torch.testing.assert_close(moved, gradient * (0.05 / length(loss)), rtol=1e-2, atol=2e-6)


def test_a_short_gradient_stays(splits: Splits) -> None:
    """Bit for bit as without the limit."""
    run, plain = started(splits, clip_norm=100.0), started(splits)
    for mine, theirs in zip(moves(run), moves(plain), strict=True):
        assert torch.equal(mine, theirs)


def test_label_smoothing_moves_weights_and_not_the_reported_loss(splits: Splits) -> None:
    """The step follows the smoothed loss, as PyTorch has it; the score is that of the labels."""
    run, plain = started(splits, smoothing={"kind": "label_smoothing", "strength": 0.3}), started(splits)
    expected = gradients(run, splits, smoothing=0.3)
    for gradient, moved in zip(expected, moves(run), strict=True):
        torch.testing.assert_close(moved, gradient, rtol=1e-3, atol=2e-6)
    plain.step()
    assert plain.evaluate().train == run.evaluate().train


def test_input_noise_only_while_training(splits: Splits) -> None:
    """The train loss is that of noisy images; the validation score of the same weights has none and does not vary."""
    run, plain = started(splits, noise={"kind": "input_noise", "strength": 2.0}), started(splits)
    for one in (run, plain):
        one.step()
    assert run.evaluate().train.loss != plain.evaluate().train.loss
    run.model.load_state_dict(plain.model.state_dict())
    assert plain.score(splits.validation) == run.score(splits.validation) == run.score(splits.validation)


@pytest.mark.parametrize("strength", [0.5, 4.0])
@pytest.mark.parametrize(
    ("kind", "ceiling"),
    [("dropout", 0.95), ("label_smoothing", 0.95), ("sparse_gradient", 0.99), ("input_noise", 4.0), ("l1", 4.0)],
)
def test_ceilings(kind: str, ceiling: float, strength: float, splits: Splits) -> None:
    """A share stays below 1 whatever the policy says, a penalty has no bound."""
    run = started(splits, part={"kind": kind, "strength": 0.1, "policy": {"kind": "replay", "strengths": [strength]}})
    run.step()
    assert min(strength, ceiling) == run.evaluate().strengths["part"]
