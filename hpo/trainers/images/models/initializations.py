"""How the weights of linear and convolutional layers begin; normalization layers keep scale 1 and shift 0.

In the formulas m is the number of inputs that one output of the layer sums over, and n the number of outputs that one
input reaches: units for a linear layer, channels of one group x kernel pixels for a convolution. Numbers come from
torch's global generator, which the caller seeds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hpo.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor, nn


class Default(Spec):
    """PyTorch's own: uniform within ±1 / sqrt(m), for weights and biases. With any other kind biases begin at 0."""

    kind: Literal["default"] = "default"


class GlorotUniform(Spec):
    """Uniform within ±sqrt(6 / (m + n)) for m inputs and n outputs (Glorot and Bengio 2010)."""

    kind: Literal["glorot_uniform"] = "glorot_uniform"

    def __call__(self, weight: Tensor, m: int, n: int) -> None:
        _uniform(weight, math.sqrt(6 / (m + n)))


class FanInUniform(Spec):
    """Uniform within ±1 / sqrt(m) for m inputs: the default's weights, with biases of 0."""

    kind: Literal["fan_in_uniform"] = "fan_in_uniform"

    def __call__(self, weight: Tensor, m: int, n: int) -> None:
        _uniform(weight, 1 / math.sqrt(m))


class HeNormal(Spec):
    """Normal with mean 0 and variance 2 / m for m inputs (He et al. 2015, equation 10)."""

    kind: Literal["he_normal"] = "he_normal"

    def __call__(self, weight: Tensor, m: int, n: int) -> None:
        from torch import nn

        nn.init.normal_(weight, std=math.sqrt(2 / m))


class TruncatedNormal(Spec):
    """Normal with mean 0 and standard deviation sqrt(1 / n) for n outputs, redrawn beyond two standard deviations."""

    kind: Literal["truncated_normal"] = "truncated_normal"

    def __call__(self, weight: Tensor, m: int, n: int) -> None:
        from torch import nn

        std = math.sqrt(1 / n)
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


class Normal(Spec):
    """Normal with mean 0, the same for every layer."""

    kind: Literal["normal"] = "normal"

    std: float = Field(gt=0.0, le=100.0)
    """The standard deviation."""

    def __call__(self, weight: Tensor, m: int, n: int) -> None:
        from torch import nn

        nn.init.normal_(weight, std=self.std)


Initialization = Annotated[
    Default | GlorotUniform | FanInUniform | HeNormal | TruncatedNormal | Normal, Field(discriminator="kind")
]


def initialized(net: nn.Module, init: Initialization) -> nn.Module:
    """`net`, its linear and convolutional layers begun as `init` says."""
    from torch import nn

    if isinstance(init, Default):
        return net
    for layer in net.modules():
        match layer:
            case nn.Linear(in_features=inputs) | nn.Conv2d(in_channels=inputs):
                init(layer.weight, m=layer.weight[0].numel(), n=layer.weight.numel() // inputs)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return net


def _uniform(weight: Tensor, bound: float) -> None:
    from torch import nn

    nn.init.uniform_(weight, -bound, bound)
