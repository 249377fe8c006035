"""Penalties that make weights zero, against the problem that their step solves; and the share of weights that are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from hpo.trainers.images.data import split
from hpo.trainers.images.loop import Decision, fit
from hpo.trainers.images.metrics import sparsity
from hpo.trainers.images.regularizers import L1, LHalf, ProximalL1, ProximalLHalf
from hpo.trainers.images.trial import TrialSpec

FINE = np.linspace(-3.0, 3.0, 600_001)
PENALTIES: dict[type[ProximalL1 | ProximalLHalf], Callable[[np.ndarray], np.ndarray]] = {
    ProximalL1: np.abs,
    ProximalLHalf: lambda x: np.sqrt(np.abs(x)),
}


def after_a_step(spec: ProximalL1 | ProximalLHalf, weights: list[float], lr: float | torch.Tensor) -> list[float]:
    """Weights that an optimizer has left so, once the regularizer has acted on them."""
    net = nn.Linear(len(weights), 1)
    built = spec.build(net, 0)
    assert built.on_step is not None
    act = built.on_step(spec.strength, lr)
    with torch.no_grad():
        net.weight[0] = torch.tensor(weights)
        bias = net.bias.clone()
    act()
    assert torch.equal(bias, net.bias), "biases are left alone"
    found: list[float] = net.weight[0].tolist()
    return found


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("strength", [0.5, 3.0])
def test_it_solves_its_problem(kind: type[ProximalL1 | ProximalLHalf], strength: float) -> None:
    """argmin of (x - w)^2 / 2 + lr x strength x p(x), by trying 600,001 values of x."""
    lr, weights = 0.2, [-2.0, -0.7, -0.05, 0.0, 0.3, 0.9, 1.7]
    found = after_a_step(kind(strength=strength), weights, lr)
    penalty = PENALTIES[kind](FINE)
    best = [FINE[np.argmin((FINE - weight) ** 2 / 2 + lr * strength * penalty)] for weight in weights]
    assert found == pytest.approx(best, abs=2e-5)
    assert 0.0 in found and any(found)
    assert found == pytest.approx(after_a_step(kind(strength=strength), weights, torch.tensor(lr)))


@pytest.mark.parametrize("kind", PENALTIES)
def test_a_strength_of_nothing_changes_nothing(kind: type[ProximalL1 | ProximalLHalf]) -> None:
    weights = [-0.5, 0.0, 1e-9, 2.0]
    assert after_a_step(kind(strength=0.0), weights, 0.1) == pytest.approx(weights)


def test_the_share_of_small_weights() -> None:
    """Of both tensors together, equal to the limit included."""
    weights = [torch.tensor([[0.0, -0.1], [0.1, 2.0]]), torch.tensor([[0.2, 0.0]])]
    assert sparsity(weights, 0.0).item() == pytest.approx(2 / 6)
    assert sparsity(weights, 0.1).item() == pytest.approx(4 / 6)


@pytest.mark.parametrize(("kind", "plain", "strength"), [(ProximalL1, L1, 0.02), (ProximalLHalf, LHalf, 3e-3)])
def test_it_makes_zeros_where_the_gradient_makes_none(
    kind: type[ProximalL1 | ProximalLHalf], plain: type[L1 | LHalf], strength: float
) -> None:
    """The same strength in two trials on digits, both of which learn."""
    shares = []
    for spec in (kind(strength=strength), plain(strength=strength)):
        trial = TrialSpec.model_validate(
            {
                "epochs": 4,
                "batch_size": 20,
                "data": {"kind": "digits", "validation": 0.5},
                "model": {"kind": "mlp", "hidden": [32]},
                "optimizer": {"kind": "sgd"},
                "lr": {"kind": "constant", "peak": 0.05},
                "regularizers": {"penalty": spec.model_dump()},
                "sparsity_below": 0.0,
            }
        )
        told = []
        images = split(trial.data.load(), trial.data, with_test=False, device=torch.device("cpu"))
        fit(trial, 1, images, lambda evaluation, _, told=told: told.append(evaluation) or Decision.CONTINUE)
        assert told[-1].validation.accuracy > 0.7
        shares.append(told[-1].reported().metrics["train_sparsity"])
    assert shares[0] > 0.2
    assert shares[1] < 0.05
