"""What every regularizer does to gradients, weights and layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn
from torch.nn import functional

from hpo.train.models import Cnn, Mlp
from hpo.train.regularizers import L2, Dropout, Regularizer, RegularizerSpec, WeightDecay, parameters

SHAPE = (1, 4, 4)


def model(**options: Any) -> nn.Module:
    torch.manual_seed(3)
    return Mlp(hidden=(5, 4), **options).build(SHAPE, 3).double()


def loss(net: nn.Module) -> torch.Tensor:
    inputs = torch.linspace(-1, 1, 96, dtype=torch.float64).view(6, *SHAPE)
    return functional.cross_entropy(net(inputs), torch.tensor([0, 1, 2, 0, 1, 2]))


def test_which_parameters() -> None:
    """Weights are what has two dimensions or more: no biases; what is frozen never counts."""
    net = model(batch_norm=True)
    names = {id(p): name for name, p in net.named_parameters()}
    weights = ["linear1.weight", "linear2.weight", "output.weight"]
    assert weights == [names[id(p)] for p in parameters(net, "weights")]
    assert list(names.values()) == [names[id(p)] for p in parameters(net, "all")]
    net.get_parameter("linear1.weight").requires_grad_(False)
    assert weights[1:] == [names[id(p)] for p in parameters(net, "weights")]
    assert len(names) - 1 == len(parameters(net, "all"))


@pytest.mark.parametrize("on", ["weights", "all"])
@pytest.mark.parametrize("strength", [0.0, 0.07, 3.0])
def test_l2_is_the_gradient_of_its_penalty(on: Any, strength: float) -> None:
    """Autograd of cross-entropy + strength / 2 x sum of w^2 gives the same gradients."""
    net, other = model(), model()
    loss(net).backward()
    act = L2(strength=1.0, on=on).build(net, 0).on_gradients
    assert act is not None
    act(strength)

    penalty = sum((p.square().sum() for p in parameters(other, on)), torch.zeros(()))
    (loss(other) + strength / 2 * penalty).backward()
    for mine, autograd in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, autograd.grad, rtol=1e-12, atol=1e-14)


def test_l2_under_sgd_is_torch_weight_decay() -> None:
    """On all parameters, PyTorch's own option gives the same weights."""
    net, other = model(), model()
    ours = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9, weight_decay=0.02)
    act = L2(strength=0.02, on="all").build(net, 0).on_gradients
    assert act is not None
    for _ in range(3):
        for built, optimized in ((ours, net), (theirs, other)):
            built.zero_grad()
            loss(optimized).backward()
        act(0.02)
        ours.step()
        theirs.step()
    for mine, torchs in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, torchs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("on", ["weights", "all"])
def test_weight_decay_shrinks_by_lr_times_strength(on: Any) -> None:
    """w <- w (1 - 0.5 x 0.2); the gradients stay as they are."""
    net = model()
    loss(net).backward()
    before = {name: (p.detach().clone(), p.grad) for name, p in net.named_parameters()}
    gradients = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    act = WeightDecay(strength=0.2, on=on).build(net, 0).on_weights
    assert act is not None
    act(0.2, 0.5)
    for name, p in net.named_parameters():
        shrunk = on == "all" or name.endswith("weight")
        torch.testing.assert_close(p.detach(), before[name][0] * (0.9 if shrunk else 1.0))
        assert p.grad is not None and torch.equal(gradients[name], p.grad)


def test_dropout_sets_every_rate() -> None:
    """Each dropout layer of the model, at once, and again when the strength moves."""
    for net, layers in (
        (Mlp(hidden=(5, 4, 3)).build(SHAPE, 3), 3),
        (Cnn(channels=(2, 2, 2)).build(SHAPE, 3), 1),
    ):
        change = Dropout(strength=0.5).build(net, 0).on_change
        assert change is not None
        for rate in (0.5, 0.25, 0.0):
            change(rate)
            assert [rate] * layers == [m.p for m in net.modules() if isinstance(m, nn.Dropout)]


@pytest.mark.parametrize(
    ("spec", "acts_on"),
    [
        (L2(strength=0.1), {"on_gradients"}),
        (WeightDecay(strength=0.1), {"on_weights"}),
        (Dropout(strength=0.1), {"on_change"}),
    ],
)
def test_acts_only_there(spec: Any, acts_on: set[str]) -> None:
    """A regularizer is asked only where it does something."""
    built = spec.build(model(), 0)
    assert acts_on == {name for name in Regularizer.__dataclass_fields__ if getattr(built, name) is not None}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "l2"}, "Field required"),
        ({"kind": "l2", "strength": -1e-3}, "greater than or equal to 0"),
        ({"kind": "l2", "strength": float("nan")}, "finite"),
        ({"kind": "l2", "strength": 0.1, "on": "biases"}, "'weights' or 'all'"),
        ({"kind": "l2", "strength": 0.1, "ceiling": 3}, "unknown key 'ceiling'"),
        ({"kind": "dropout", "strength": 1.0}, "less than or equal to 0.95"),
        ({"kind": "dropout", "strength": 0.5, "on": "all"}, "unknown key 'on'"),
        ({"kind": "weight_decay", "strength": 0.1, "policy": {"kind": "up"}}, "expected tags: 'hold', "),
        ({"kind": "l3", "strength": 0.1}, "expected tags: 'weight_decay', "),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    """What is wrong, or what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(RegularizerSpec).validate_python(given)
