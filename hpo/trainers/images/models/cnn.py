"""Convolutional net of three layers: (N, C, H, W) -> (N, classes), without softmax.

Each layer is a convolution that keeps the image's size, a 2 x 2 max pool, which is left out once a side is a single
pixel, and an activation: after the pool, where for a rising one it does the same at a quarter of the cost. Layers are
named: `conv1` .. `conv3`, `output`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from hpo.spec import Spec
from hpo.trainers.images.models.activations import Activation, activation_of
from hpo.trainers.images.models.initializations import Default, Initialization, initialized

if TYPE_CHECKING:
    from torch import nn

_Channels = Annotated[int, Field(ge=1, le=8192)]


class Cnn(Spec):
    """Three convolutions, then a linear layer."""

    kind: Literal["cnn"] = "cnn"
    recordable: ClassVar[bool] = True

    channels: tuple[_Channels, _Channels, _Channels] = (32, 64, 128)
    """Output channels of each convolution."""

    kernel: Literal[3, 5] = 3
    """Side of each convolution's kernel, in pixels."""

    activation: Activation = "relu"
    """The activation function after each convolution and its pooling."""

    batch_norm: bool = False
    """Use batch normalization after each convolution, before its pooling; the convolution then has no bias."""

    init: Initialization = Default()
    """How the weights are initialized."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """A net for images of `shape` (C, H, W), initialized from torch's global generator."""
        from torch import nn

        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs, height, width = shape
        for number, outputs in enumerate(self.channels, start=1):
            layers[f"conv{number}"] = nn.Conv2d(
                inputs, outputs, self.kernel, padding=self.kernel // 2, bias=not self.batch_norm
            )
            if self.batch_norm:
                layers[f"norm{number}"] = nn.BatchNorm2d(outputs)
            if min(height, width) >= 2:
                layers[f"pool{number}"] = nn.MaxPool2d(2)
                height, width = height // 2, width // 2
            layers[f"activation{number}"] = activation_of(self.activation)()
            inputs = outputs
        layers["flatten"] = nn.Flatten()
        layers["dropout"] = nn.Dropout(p=0.0)  # its rate belongs to the dropout regularizer
        layers["output"] = nn.Linear(inputs * height * width, classes)
        return initialized(nn.Sequential(layers), self.init)
