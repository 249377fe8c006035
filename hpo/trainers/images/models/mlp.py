"""Multi-layer perceptron on flattened images: (N, C, H, W) -> (N, classes), without softmax.

Layers are named, so that the gradient of one can be followed: `linear1` .. `linearK`, `output`.
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


class Mlp(Spec):
    """Fully connected hidden layers, then a linear layer; without hidden layers this is softmax regression."""

    kind: Literal["mlp"] = "mlp"
    recordable: ClassVar[bool] = True

    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(max_length=32)
    """Units of each hidden layer."""

    activation: Activation = "relu"
    """The activation function after each hidden layer."""

    batch_norm: bool = False
    """Use batch normalization after each hidden layer, before its activation; the layer then has no bias."""

    init: Initialization = Default()
    """How the weights are initialized."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """A net for images of `shape` (C, H, W), initialized from torch's global generator."""
        from torch import nn

        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        channels, height, width = shape
        inputs = channels * height * width
        for number, units in enumerate(self.hidden, start=1):
            layers[f"linear{number}"] = nn.Linear(inputs, units, bias=not self.batch_norm)
            if self.batch_norm:
                layers[f"norm{number}"] = nn.BatchNorm1d(units)
            layers[f"activation{number}"] = activation_of(self.activation)()
            layers[f"dropout{number}"] = nn.Dropout(p=0.0)  # its rate belongs to the dropout regularizer
            inputs = units
        layers["output"] = nn.Linear(inputs, classes)
        return initialized(nn.Sequential(layers), self.init)
