"""Residual net for small images (He et al. 2016, section 4.2): (N, C, H, W) -> (N, classes), without softmax.

A convolution to 16 channels, then three stages of n blocks with 16, 32 and 64 channels, two 3 x 3 convolutions each, so
that 6n + 2 layers have weights; the second and third stage begin with stride 2. A shortcut has no parameters (option
A): where the size changes, it takes every second pixel and fills up with channels of zeros. Global average pool, then a
linear layer. Parameters are named `conv1.weight`, `stages.0.0.conv1.weight` (stage, block), …, `output.weight`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from hpo.spec import Spec
from hpo.trainers.images.models.activations import Activation, activation_of
from hpo.trainers.images.models.initializations import HeNormal, Initialization, initialized

if TYPE_CHECKING:
    from torch import nn


def _six_n_plus_two(depth: int) -> int:
    if depth % 6 != 2:
        below = depth - (depth - 2) % 6
        raise ValueError(f"{depth} is not 6n + 2: the nearest depths are {below} and {below + 6}")
    return depth


class Resnet(Spec):
    """A residual network of 6n + 2 layers for small images of any size (He et al. 2016, section 4.2)."""

    kind: Literal["resnet"] = "resnet"
    recordable: ClassVar[bool] = True

    depth: Annotated[int, Field(ge=8, le=1202), AfterValidator(_six_n_plus_two)]
    """Layers with weights, 6n + 2: 8, 14, 20, 26, 32, …"""

    channels: Annotated[int, Field(ge=1, le=8192)] = 16
    """Channels of the first stage; the second and the third have two and four times as many. 16 is the paper's."""

    activation: Activation = "relu"
    """The activation function after each normalization; the last one of a block comes after the sum with the
    shortcut."""

    init: Initialization = HeNormal()
    """How the weights are initialized; the paper uses He's normal."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """A net for images of `shape` (C, H, W), initialized from torch's global generator."""
        from torch import nn

        from hpo.trainers.images.models.residual_block import Block, convolution

        activation = activation_of(self.activation)
        stages = []
        inputs = self.channels
        for outputs in (self.channels, 2 * self.channels, 4 * self.channels):
            blocks = []
            for _ in range((self.depth - 2) // 6):
                blocks.append(Block(inputs, outputs, activation))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=convolution(shape[0], self.channels),
            norm1=nn.BatchNorm2d(self.channels),
            activation1=activation(),
            stages=nn.Sequential(*stages),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(p=0.0),  # its rate belongs to the dropout regularizer
            output=nn.Linear(4 * self.channels, classes),
        )
        return initialized(nn.Sequential(layers), self.init)
