"""MobileNet v1 (Howard et al. 2017) for images of 32 x 32: (N, C, H, W) -> (N, classes), without softmax.

A convolution to 32 channels with stride 1, then 13 blocks that are numbered from 0: a 3 x 3 convolution of each channel
by itself, then a 1 x 1 convolution across channels, each with normalization and activation. 2 x 2 average pool, then a
linear layer. Parameters are named `conv1.weight`, `layers.8.conv1.weight` (the 3 x 3 of block 8), …, `output.weight`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from hpo.errors import StudyFileError
from hpo.spec import Spec
from hpo.trainers.images.models.activations import Activation, activation_of
from hpo.trainers.images.models.initializations import Default, Initialization, initialized

if TYPE_CHECKING:
    from torch import nn

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Channels out of each block, and the stride of its 3 x 3 convolution."""

SMALLEST_SIDE = 17
"""Pixels: four strides of 2, rounded up, leave the two that the pool needs."""


class MobileNet(Spec):
    """MobileNet v1 for images of 32 x 32, or of other sizes of at least 17 x 17 (Howard et al. 2017)."""

    kind: Literal["mobilenet"] = "mobilenet"
    recordable: ClassVar[bool] = True

    width: Annotated[float, Field(gt=0.0, le=8.0)] = 1.0
    """The paper's width multiplier: the channels of every layer are multiplied by it, rounded, at least one (section
    3.3)."""

    activation: Activation = "relu"
    """The activation function after each normalization, except in `other_blocks`."""

    other_activation: Activation = "sigmoid"
    """The activation function after each normalization in `other_blocks`."""

    other_blocks: tuple[Annotated[int, Field(ge=0, le=12)], ...] = Field(default=(), max_length=13)
    """Blocks that use `other_activation`, counted from 0 as in the names of their parameters."""

    init: Initialization = Default()
    """How the weights are initialized."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """A net for images of `shape` (C, H, W), initialized from torch's global generator.

        Raises:
            StudyFileError: the images are too small.
        """
        from torch import nn

        channels, height, width = shape
        if min(height, width) < SMALLEST_SIDE:
            raise StudyFileError(
                f"mobilenet needs images of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels; "
                f"these are {height} x {width}",
                hint="the models mlp, cnn and resnet take images of any size",
            )
        blocks = []
        stem = inputs = self._scaled(32)
        for number, (whole, stride) in enumerate(BLOCKS):
            outputs = self._scaled(whole)
            name = self.other_activation if number in self.other_blocks else self.activation
            blocks.append(_block(inputs, outputs, stride, activation_of(name)))
            inputs, height, width = outputs, -(-height // stride), -(-width // stride)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(channels, stem, 3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(stem),
            activation1=activation_of(self.activation)(),
            layers=nn.Sequential(*blocks),
            pool=nn.AvgPool2d(2),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(p=0.0),  # its rate belongs to the dropout regularizer
            output=nn.Linear(inputs * (height // 2) * (width // 2), classes),
        )
        return initialized(nn.Sequential(layers), self.init)

    def _scaled(self, channels: int) -> int:
        return max(1, round(self.width * channels))


def _block(inputs: int, outputs: int, stride: int, activation: type[nn.Module]) -> nn.Sequential:
    from torch import nn

    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False),
        norm1=nn.BatchNorm2d(inputs),
        activation1=activation(),
        conv2=nn.Conv2d(inputs, outputs, 1, bias=False),
        norm2=nn.BatchNorm2d(outputs),
        activation2=activation(),
    )
    return nn.Sequential(layers)
