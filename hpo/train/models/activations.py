"""The activation functions that a model's spec can name."""

from __future__ import annotations

from typing import Literal

from torch import nn

Activation = Literal["sigmoid", "relu", "tanh", "gelu"]

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
}
