"""What a net costs: its parameters, and the multiply-adds of one image going forward.

Counted as by Howard et al. (2017), section 3.1: a convolution of K x K from M to N channels that gives F x F pixels
takes K K M N F F multiply-adds, one of each channel by itself K K M F F; a linear layer from M to N takes M N.
Normalization, activation and pooling are not counted.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Cost:
    """What one net costs, for images of one shape."""

    parameters: int
    """All that is trained."""
    multiply_adds: int
    """Per image, forward."""
    whole_parameters: int
    """Parameters, if each convolution of channels by themselves and the 1 x 1 across channels after it were one whole
    convolution; the same as `parameters` where there is none."""
    whole_multiply_adds: int
    """Multiply-adds then."""

    @property
    def is_separated(self) -> bool:
        """Whether it has convolutions of channels by themselves."""
        return self.whole_parameters != self.parameters


@dataclass(frozen=True, slots=True)
class _Layer:
    module: nn.Conv2d | nn.Linear
    positions: int
    """Pixels of the output; 1 of a linear layer."""

    @property
    def multiply_adds(self) -> int:
        return self.positions * self.module.weight.numel()

    @property
    def takes_channels_apart(self) -> bool:
        return isinstance(self.module, nn.Conv2d) and 1 < self.module.groups == self.module.in_channels

    @property
    def mixes_channels(self) -> bool:
        return isinstance(self.module, nn.Conv2d) and self.module.kernel_size == (1, 1) and self.module.groups == 1


def cost(model: nn.Module, shape: tuple[int, int, int]) -> Cost:
    """Count what a net costs for images of `shape` (C, H, W), as it is when it scores."""
    layers = _layers(model, shape)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    multiply_adds = sum(layer.multiply_adds for layer in layers)
    whole_parameters, whole_multiply_adds = parameters, multiply_adds
    for apart, mixing in pairwise(layers):
        if apart.takes_channels_apart and mixing.mixes_channels:
            kernel = prod(apart.module.kernel_size)  # type: ignore[arg-type]
            weights = kernel * mixing.module.weight.numel()
            whole_parameters += weights - apart.module.weight.numel() - mixing.module.weight.numel()
            whole_multiply_adds += mixing.positions * weights - apart.multiply_adds - mixing.multiply_adds
    return Cost(parameters, multiply_adds, whole_parameters, whole_multiply_adds)


def _layers(model: nn.Module, shape: tuple[int, int, int]) -> list[_Layer]:
    """Those that are counted, in the order in which an image passes through them."""
    passed: list[_Layer] = []

    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        passed.append(_Layer(module, prod(output.shape[2:]) if isinstance(module, nn.Conv2d) else 1))

    watched = copy.deepcopy(model).eval()
    for module in watched.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(note)
    with torch.no_grad():
        watched(torch.zeros(1, *shape))
    return passed
