"""Steps of every optimizer with every regularizer, in float64, against the equations on plain tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from hpo.trainers.images.optimizers import Adam, AdamW, Optimizer, RmsProp, Sgd
from hpo.trainers.images.regularizers import L2, Regularizer, WeightDecay, decay, decay_groups

RATES = (0.3, 0.1, 0.2)
"""Learning rate of each of the steps."""
STRENGTH = 0.05
INPUTS = torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3).sin()
LABELS = torch.tensor([0, 1, 1, 0])


def net() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def gradients(tensors: list[Tensor]) -> list[Tensor]:
    """Of the mean cross-entropy by the weights and biases of `net`."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    w1, b1, w2, b2 = leaves
    hidden = torch.tanh(INPUTS @ w1.T + b1)
    return list(torch.autograd.grad(functional.cross_entropy(hidden @ w2.T + b2, LABELS), leaves))


def sgd(momentum: float, nesterov: bool, grads: list[Tensor], state: dict[str, Any]) -> list[Tensor]:
    """v <- momentum v + g; the direction is v, or g + momentum v."""
    state["v"] = [momentum * v + g for v, g in zip(state.get("v", [0.0] * 4), grads, strict=True)]
    return [g + momentum * v if nesterov else v for g, v in zip(grads, state["v"], strict=True)]


def adam(grads: list[Tensor], state: dict[str, Any]) -> list[Tensor]:
    """Kingma and Ba, algorithm 1, with betas 0.8 and 0.95 and eps 1e-6."""
    state["t"] = state.get("t", 0) + 1
    state["m"] = [0.8 * m + 0.2 * g for m, g in zip(state.get("m", [0.0] * 4), grads, strict=True)]
    state["s"] = [0.95 * s + 0.05 * g * g for s, g in zip(state.get("s", [0.0] * 4), grads, strict=True)]
    return [
        m / (1 - 0.8 ** state["t"]) / ((s / (1 - 0.95 ** state["t"])).sqrt() + 1e-6)
        for m, s in zip(state["m"], state["s"], strict=True)
    ]


def rmsprop(momentum: float, grads: list[Tensor], state: dict[str, Any]) -> list[Tensor]:
    """r <- 0.9 r + 0.1 g^2; u = g / (sqrt(r) + 1e-6); v <- momentum v + u."""
    state["r"] = [0.9 * r + 0.1 * g * g for r, g in zip(state.get("r", [0.0] * 4), grads, strict=True)]
    scaled = [g / (r.sqrt() + 1e-6) for g, r in zip(grads, state["r"], strict=True)]
    state["v"] = [momentum * v + u for v, u in zip(state.get("v", [0.0] * 4), scaled, strict=True)]
    return list(state["v"])


OPTIMIZERS: dict[str, tuple[Any, Any]] = {
    "sgd": (Sgd(momentum=0.0), lambda grads, state: sgd(0.0, False, grads, state)),
    "momentum": (Sgd(momentum=0.9), lambda grads, state: sgd(0.9, False, grads, state)),
    "nesterov": (Sgd(momentum=0.9, nesterov=True), lambda grads, state: sgd(0.9, True, grads, state)),
    "adam": (Adam(betas=(0.8, 0.95), eps=1e-6), adam),
    "adamw": (AdamW(betas=(0.8, 0.95), eps=1e-6), adam),
    "rmsprop": (RmsProp(alpha=0.9, eps=1e-6), lambda grads, state: rmsprop(0.0, grads, state)),
    "rmsprop with momentum": (
        RmsProp(alpha=0.9, eps=1e-6, momentum=0.7),
        lambda grads, state: rmsprop(0.7, grads, state),
    ),
}
#: the regularizer; is a weight's gradient increased; is a bias's; is a weight shrunk; is a bias
REGULARIZERS: dict[str, tuple[Any, tuple[bool, bool], tuple[bool, bool]]] = {
    "none": (None, (False, False), (False, False)),
    "l2 on weights": (L2(strength=STRENGTH), (True, False), (False, False)),
    "l2 on all": (L2(strength=STRENGTH, on="all"), (True, True), (False, False)),
    "coupled decay of weights": (WeightDecay(strength=STRENGTH, coupled=True), (True, False), (False, False)),
    "decay of weights": (WeightDecay(strength=STRENGTH), (False, False), (True, False)),
    "decay of all": (WeightDecay(strength=STRENGTH, on="all"), (False, False), (True, True)),
}


@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps(optimizer: str, regularizer: str) -> None:
    """Three steps at moving learning rates: w <- w (1 - lr x decay) - lr x direction(g + l2 w)."""
    spec, direction = OPTIMIZERS[optimizer]
    penalty, l2, shrunk = REGULARIZERS[regularizer]
    model = net()
    expected = [p.detach().clone() for p in model.parameters()]
    acts = penalty.build(model, 0) if penalty is not None else Regularizer()
    built = spec.build(decay_groups(model, {"one": acts}))
    state: dict[str, Any] = {}
    for lr in RATES:
        grads = [
            g + STRENGTH * l2[tensor.ndim == 1] * tensor
            for g, tensor in zip(gradients(expected), expected, strict=True)
        ]
        expected = [
            tensor * (1 - lr * STRENGTH * shrunk[tensor.ndim == 1]) - lr * towards
            for tensor, towards in zip(expected, direction(grads, state), strict=True)
        ]

        for group in built.param_groups:
            group["lr"] = lr
        built.zero_grad()
        functional.cross_entropy(model(INPUTS), LABELS).backward()
        decay(built, {"one": STRENGTH})
        if acts.on_weights is not None:
            acts.on_weights(STRENGTH, lr)
        built.step()
        for tensor, parameter in zip(expected, model.parameters(), strict=True):
            torch.testing.assert_close(parameter.detach(), tensor, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "sgd", "momentum": 0.0, "nesterov": True}, "momentum above 0"),
        ({"kind": "sgd", "momentum": 1.0}, "less than 1"),
        ({"kind": "sgd", "momentum": -0.1}, "greater than or equal to 0"),
        ({"kind": "adamw", "betas": (0.9,)}, "Field required"),
        ({"kind": "adamw", "betas": (0.9, 1.0)}, "less than 1"),
        ({"kind": "adamw", "eps": 0.0}, "greater than 0"),
        ({"kind": "adam", "betas": (1.0, 0.9)}, "less than 1"),
        ({"kind": "rmsprop", "alpha": 1.0}, "less than 1"),
        ({"kind": "rmsprop", "eps": 0.0}, "greater than 0"),
        ({"kind": "sgd", "weight_decay": 1e-4}, "unknown key 'weight_decay'"),
        ({"kind": "sgd", "lr": 0.1}, "unknown key 'lr'"),
        ({"kind": "lion"}, "expected tags: 'sgd', "),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    """What is wrong, or what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Optimizer).validate_python(given)
