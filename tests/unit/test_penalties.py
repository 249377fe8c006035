"""Penalties on a model of one's own: the gradient is that of the loss with the penalty in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import hpo
from hpo.penalties import Penalties


def net_and_loss() -> tuple[nn.Linear, Callable[[], Tensor]]:
    """Something that has a weight and a bias."""
    torch.manual_seed(0)
    net, inputs = nn.Linear(6, 3).double(), torch.randn(8, 6, dtype=torch.float64)
    return net, lambda: net(inputs).square().mean()


PENALTIES: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": lambda weight: weight.abs().sum(),
    "l2": lambda weight: weight.square().sum() / 2,
    "l_half": lambda weight: (weight.abs() + 1e-4).sqrt().sum(),
    "tikhonov": lambda weight: weight.norm(),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_is_that_of_the_penalty(name: str) -> None:
    """As autograd has it, on weights and not on biases."""
    net, loss = net_and_loss()
    (loss() + 0.3 * PENALTIES[name](net.weight)).backward()
    expected = [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]
    net.zero_grad()
    penalties = Penalties(hpo.trial(**{name: 0.3, "lr": 0.1}), net)
    loss().backward()
    penalties.add(at=0.0)
    for parameter, gradient in zip(net.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient)


def test_masked_before_it_is_penalized() -> None:
    """A share of the loss's gradient is hidden, the same from step to step; of the penalty nothing is."""
    net, loss = net_and_loss()
    penalties = Penalties(hpo.trial(l2=0.3, sparse_gradient=0.5), net)
    hidden = []
    for _ in range(2):
        net.zero_grad()
        loss().backward()
        penalties.add(at=0.0)
        assert net.weight.grad is not None
        hidden.append(torch.isclose(net.weight.grad, 0.3 * net.weight))
    assert 9 == int(hidden[0].sum())
    assert torch.equal(*hidden)


def test_none_at_all() -> None:
    """A study that states none by a name that is known is told which there are."""
    with pytest.raises(ValueError, match="with the name of a penalty: sparse_gradient, l2, l1, l_half, tikhonov"):
        Penalties(hpo.trial(lr=0.1), nn.Linear(2, 2))
