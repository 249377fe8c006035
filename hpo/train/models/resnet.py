"""Residual net for small images (He et al. 2016, section 4.2): (N, C, H, W) -> (N, classes), without softmax.

A convolution to 16 channels, then three stages of n blocks with 16, 32 and 64 channels, two 3 x 3 convolutions each, so
that 6n + 2 layers have weights; the second and third stage begin with stride 2. A shortcut has no parameters (option
A): where the size changes, it takes every second pixel and fills up with channels of zeros. Global average pool, then a
linear layer. Parameters are named `conv1.weight`, `stages.0.0.conv1.weight` (stage, block), …, `output.weight`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from torch import Tensor, nn
from torch.nn import functional

from hpo.spec import Spec
from hpo.train.models.activations import ACTIVATIONS, Activation
from hpo.train.models.initializations import HeNormal, Initialization, initialized


def _six_n_plus_two(depth: int) -> int:
    if depth % 6 != 2:
        below = depth - (depth - 2) % 6
        raise ValueError(f"{depth} is not 6n + 2: the nearest depths are {below} and {below + 6}")
    return depth


class Resnet(Spec):
    """A residual net of 6n + 2 layers for small images of any size (He et al. 2016, section 4.2)."""

    kind: Literal["resnet"] = "resnet"

    depth: Annotated[int, Field(ge=8, le=1202), AfterValidator(_six_n_plus_two)]
    """Layers with weights, 6n + 2: 8, 14, 20, 26, 32, …"""

    channels: Annotated[int, Field(ge=1, le=8192)] = 16
    """Channels of the first stage; the second and the third have two and four times as many. 16 is the paper's."""

    activation: Activation = "relu"
    """The function after each normalization, in a block's last after the sum with the shortcut."""

    init: Initialization = HeNormal()
    """How the weights begin; He's normal is the paper's."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """A net for images of `shape` (C, H, W), initialized from torch's global generator."""
        activation = ACTIVATIONS[self.activation]
        stages = []
        inputs = self.channels
        for outputs in (self.channels, 2 * self.channels, 4 * self.channels):
            blocks = []
            for _ in range((self.depth - 2) // 6):
                blocks.append(_Block(inputs, outputs, activation))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=_convolution(shape[0], self.channels),
            norm1=nn.BatchNorm2d(self.channels),
            activation1=activation(),
            stages=nn.Sequential(*stages),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(p=0.0),  # its rate belongs to the dropout regularizer
            output=nn.Linear(4 * self.channels, classes),
        )
        return initialized(nn.Sequential(layers), self.init)


class _Block(nn.Module):
    """Two convolutions around which the input passes unchanged; stride 2 where the channels double."""

    def __init__(self, inputs: int, outputs: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self._stride, self._more = (1, 0) if inputs == outputs else (2, outputs - inputs)
        self.conv1, self.norm1 = _convolution(inputs, outputs, self._stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = _convolution(outputs, outputs), nn.BatchNorm2d(outputs)
        self.activation1, self.activation2 = activation(), activation()

    def forward(self, inputs: Tensor) -> Tensor:
        inner = self.activation1(self.norm1(self.conv1(inputs)))
        shortcut = inputs
        if self._more:
            subsampled = inputs[:, :, :: self._stride, :: self._stride]
            shortcut = functional.pad(subsampled, (0, 0, 0, 0, 0, self._more))
        outputs: Tensor = self.activation2(self.norm2(self.conv2(inner)) + shortcut)
        return outputs


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    # The normalization that follows would take a bias away again.
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
