"""The activation functions that a model's spec can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["sigmoid", "relu", "tanh", "gelu"]


def activation_of(name: Activation) -> type[nn.Module]:
    """The module that computes the function of that name."""
    from torch import nn

    modules: dict[Activation, type[nn.Module]] = {
        "sigmoid": nn.Sigmoid,
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
    }
    return modules[name]
