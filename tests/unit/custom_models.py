"""What `model = { kind = "custom" }` imports in the tests: a net, and functions that return none."""

from __future__ import annotations

from math import prod

from torch import nn


def net(shape: tuple[int, int, int], classes: int, sizes: list[int]) -> nn.Module:
    """A perceptron that takes the sizes of its hidden layers, and empties the list."""
    model = nn.Sequential(nn.Flatten())
    inputs = prod(shape)
    while sizes:
        units = sizes.pop(0)
        model.extend([nn.Linear(inputs, units), nn.ReLU(), nn.Dropout(p=0.0)])
        inputs = units
    model.add_module("output", nn.Linear(inputs, classes))
    return model


def no_net(shape: tuple[int, int, int], classes: int) -> str:
    """Something else than a module."""
    return f"{shape} {classes}"
