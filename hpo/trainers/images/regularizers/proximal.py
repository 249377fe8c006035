"""Penalties that make weights zero: after the optimizer's step, each weight goes where step and penalty want it.

A penalty's gradient pulls a weight to and fro across 0, and never onto it. The proximal step of a penalty p,
argmin over x of (x - w)^2 / 2 + lr x strength x p(x), does put it there. The loss is still differentiated without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from hpo.trainers.images.regularizers.penalties import OnParameters
from hpo.trainers.images.regularizers.record import Regularizer, parameters

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hpo.trainers.images.regularizers.record import Rate


class ProximalL1(OnParameters):
    """The penalty strength x sum of |w| by its proximal step, soft thresholding (Donoho 1995): weights become 0.

    w <- sign(w) max(|w| - lr x strength, 0), after the optimizer's step.
    """

    kind: Literal["proximal_l1"] = "proximal_l1"

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        import torch

        def threshold(weight: Tensor, t: Rate) -> None:
            weight.copy_(weight.sign() * torch.relu(weight.abs() - t))

        return _after_the_step(parameters(model, self.on), threshold)


class ProximalLHalf(OnParameters):
    """The penalty strength x sum of |w|^(1/2) by its proximal step, half thresholding: weights become 0.

    After the optimizer's step, with t = 2 x lr x strength (Xu et al. 2012, "L1/2 Regularization: A Thresholding
    Representation Theory and a Fast Solver", equations 17 to 19): w <- 2/3 w (1 + cos(2 pi / 3 - 2/3 arccos(t / 8
    (|w| / 3)^(-3/2)))) where |w| > 54^(1/3) / 4 t^(2/3), and 0 elsewhere. A weight that is 0 stays 0 unless a single
    step takes it beyond that.
    """

    kind: Literal["proximal_l_half"] = "proximal_l_half"

    LEAST: ClassVar[float] = 54 ** (1 / 3) / 4

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        import torch

        def threshold(weight: Tensor, t: Rate) -> None:
            size, twice = weight.abs(), 2.0 * t
            # Where the ratio exceeds 1 the weight becomes 0 in any case: it is limited for the arc cosine's sake.
            ratio = (twice / 8.0 * (size / 3.0) ** -1.5).clamp(max=1.0)
            shrunk = 2.0 / 3.0 * weight * (1.0 + torch.cos(2.0 / 3.0 * (math.pi - torch.arccos(ratio))))
            weight.copy_(torch.where(size > self.LEAST * twice ** (2.0 / 3.0), shrunk, 0.0))

        return _after_the_step(parameters(model, self.on), threshold)


def _after_the_step(weights: list[Tensor], threshold: Callable[[Tensor, Rate], None]) -> Regularizer:
    """`threshold(weight, learning rate x strength)`, for each tensor when the optimizer has taken its step."""
    import torch

    def remember(strength: float, lr: Rate) -> Callable[[], None]:
        def act() -> None:
            if strength == 0.0:
                return
            with torch.no_grad():
                for weight in weights:
                    threshold(weight, lr * strength)

        return act

    return Regularizer(on_step=remember)
