"""Penalties on the size of the parameters, and weight decay.

A penalty P is added to the mean cross-entropy as strength x P, with no division by the batch size; what is computed is
its gradient, strength x dP/dw, which the optimizer treats as part of the loss's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from hpo.trainers.images.regularizers.record import Regularizer, Which, parameters
from hpo.trainers.moving.policies import Governed

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hpo.trainers.images.regularizers.record import Rate

    Tensors = tuple[Tensor, ...] | list[Tensor]


class OnParameters(Governed):
    """What acts on parameters."""

    ceiling: ClassVar[float] = math.inf
    on: Which = "weights"
    """All trained parameters, or without biases and normalization, or those of the names in a list: dotted module paths
    such as `linear1.weight`, where `*` stands for anything."""


def _penalty(model: nn.Module, which: Which, derivative: Callable[[list[Tensor]], Tensors]) -> Regularizer:
    """Adds strength x derivative(parameters) to their gradients."""
    import torch

    tensors = parameters(model, which)

    def add(strength: float) -> None:
        trained = [tensor for tensor in tensors if tensor.grad is not None]
        gradients = [tensor.grad for tensor in trained if tensor.grad is not None]
        with torch.no_grad():
            torch._foreach_add_(gradients, derivative(trained), alpha=strength)

    return Regularizer(on_gradients=add)


class Decay(OnParameters):
    """Weight decay, as strong as stated or as a timescale makes it."""

    strength: NonNegativeFloat | None = None  # type: ignore[assignment]  # one of two ways to say it
    """The strength as stated; the policy multiplies or replaces it during the trial. Exactly one of `strength` and
    `timescale`."""
    timescale: PositiveFloat | None = None
    """What may be stated instead of a strength: the share of the trial's optimizer steps over which the weights average
    what the steps bring, T = 1 / (peak lr x strength x steps), so strength = 1 / (peak lr x T x steps). It is the AdamW
    timescale B / (lr x strength x D) of Bergsma et al. 2025, "Power Lines", arXiv 2505.13738, and stays comparable
    where learning rate, batch size or length change."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.strength is None) == (self.timescale is None):
            raise ValueError("give exactly one of `strength` and `timescale`, for example timescale = 0.2")
        return self

    def base(self, peak_lr: float, steps: int) -> float:
        if self.timescale is None:
            assert self.strength is not None
            return self.strength
        return 1.0 / (peak_lr * self.timescale * steps)


class WeightDecay(Decay):
    """Decoupled weight decay, w <- w - lr x strength x w (Loshchilov and Hutter 2019, AdamW as PyTorch writes it).

    With `coupled`, strength x w is added to the gradient instead: the `weight_decay` of PyTorch's SGD and Adam, there
    on all parameters, and the same as the regularizer `l2`. Under SGD without momentum both forms take the same step;
    a momentum, or Adam's scaling, acts only on the coupled form.
    """

    kind: Literal["weight_decay"] = "weight_decay"
    coupled: bool = False
    """Add strength x w to the gradient."""

    @model_validator(mode="after")
    def _timescale_is_of_decoupled_decay(self) -> Self:
        if self.coupled and self.timescale is not None:
            raise ValueError("timescale: only decoupled decay has one; leave out `coupled`, or give a strength")
        return self

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        import torch

        tensors = parameters(model, self.on)
        if self.coupled:
            return Regularizer(decays=tensors)

        def shrink(strength: float, lr: Rate) -> None:
            with torch.no_grad():
                torch._foreach_mul_(tensors, 1.0 - lr * strength)

        return Regularizer(on_weights=shrink)


class CautiousWeightDecay(Decay):
    """Decoupled weight decay only of weights that the optimizer's step moves toward 0 or does not move.

    w <- w - lr (u + strength x [u w >= 0] x w), with the optimizer's update u: where the loss wants a weight to grow,
    it is not decayed (Chen et al. 2025, "Cautious Weight Decay", arXiv 2510.12402).
    """

    kind: Literal["cautious_weight_decay"] = "cautious_weight_decay"

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        import torch

        tensors = parameters(model, self.on)

        def remember(strength: float, lr: Rate) -> Callable[[], None]:
            before = [tensor.detach().clone() for tensor in tensors]

            def decay() -> None:
                with torch.no_grad():
                    moved = torch._foreach_sub(before, tensors)  # lr x u
                    torch._foreach_mul_(moved, before)
                    decayed = [weight * (toward >= 0) for weight, toward in zip(before, moved, strict=True)]
                    torch._foreach_mul_(decayed, lr * strength)
                    torch._foreach_sub_(tensors, decayed)

            return decay

        return Regularizer(on_step=remember)


class L2(OnParameters):
    """The penalty strength x 1/2 x sum of w^2, added to the mean cross-entropy: its gradient is strength x w.

    Under SGD this is what PyTorch calls weight_decay, there on all parameters; "Deep learning homework 1" (Miočić),
    equation 8.
    """

    kind: Literal["l2"] = "l2"

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        return Regularizer(decays=parameters(model, self.on))


class L1(OnParameters):
    """The penalty strength x sum of |w|: its gradient is strength x sign(w), and 0 at w = 0."""

    kind: Literal["l1"] = "l1"

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        import torch

        return _penalty(model, self.on, torch._foreach_sign)


class LHalf(OnParameters):
    """The penalty strength x sum of |w|^(1/2) (Lu 2017, section 6), smoothed to (|w| + epsilon)^(1/2).

    Its gradient is strength x sign(w) / (2 (|w| + epsilon)^(1/2)), and 0 at w = 0: as without smoothing it grows
    towards w = 0, but not beyond strength / (2 epsilon^(1/2)).
    """

    kind: Literal["l_half"] = "l_half"
    epsilon: PositiveFloat = 1e-4
    """Added to the absolute value; keep it small compared with the weights that matter."""

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        import torch

        def derivative(weights: list[Tensor]) -> Tensors:
            roots = torch._foreach_abs(weights)
            torch._foreach_add_(roots, self.epsilon)
            torch._foreach_sqrt_(roots)
            signs = torch._foreach_sign(weights)
            torch._foreach_div_(signs, roots)
            torch._foreach_mul_(signs, 0.5)
            return signs

        return _penalty(model, self.on, derivative)


class Tikhonov(OnParameters):
    """The penalty strength x sum over the tensors of their 2-norm, not squared.

    "Initialization, Optimization, and Regularization" (Wolter 2023), equation 19. The gradient of a tensor W is
    strength x W / |W|, of the same length however small W is, and 0 at W = 0.
    """

    kind: Literal["tikhonov"] = "tikhonov"

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        import torch

        def derivative(weights: list[Tensor]) -> Tensors:
            norms = torch._foreach_norm(weights)
            # Chosen on the device: to ask here whether a norm is 0 would make the host wait for it.
            inverses = [torch.where(norm > 0, 1 / norm, 0) for norm in norms]
            return [weight * inverse for weight, inverse in zip(weights, inverses, strict=True)]

        return _penalty(model, self.on, derivative)
