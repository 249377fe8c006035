"""Optimizers: torch.optim's. The learning rate comes from the schedule, weight decay from the regularizers.

Each `build` takes what torch takes, parameters or groups of them. In all of them a group's `weight_decay` is coupled:
weight_decay x w is added to the gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from hpo.spec import Spec

if TYPE_CHECKING:
    import torch
    from torch.optim.optimizer import ParamsT

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class Sgd(Spec):
    """Stochastic gradient descent, v <- momentum v + g, w <- w - lr v (Nesterov's: g + momentum v)."""

    kind: Literal["sgd"] = "sgd"
    momentum: Rate = 0.9
    """Share of the velocity that is kept from step to step."""
    nesterov: bool = False
    """Look ahead by the momentum."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov = true needs a momentum above 0")
        return self

    def build(self, parameters: ParamsT) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(parameters, momentum=self.momentum, nesterov=self.nesterov, fused=True)


class Adam(Spec):
    """Adam (Kingma and Ba 2015), algorithm 1: w <- w - lr m' / (sqrt(v') + eps), with the running means m of the
    gradient g and v of g^2, and m' = m / (1 - beta1^t), v' = v / (1 - beta2^t).

    A coupled weight decay or an l2 penalty goes through this scaling, a decoupled one does not.
    """

    kind: Literal["adam"] = "adam"
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator, against a division by zero."""

    def build(self, parameters: ParamsT) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(parameters, betas=self.betas, eps=self.eps, fused=True)


class AdamW(Spec):
    """Adam (Kingma and Ba 2015). Its decoupled weight decay is the regularizer `weight_decay`, so it can move."""

    kind: Literal["adamw"] = "adamw"
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator, against a division by zero."""

    def build(self, parameters: ParamsT) -> torch.optim.Optimizer:
        # torch's AdamW differs in its own weight decay alone, which is not used.
        import torch

        return torch.optim.Adam(parameters, betas=self.betas, eps=self.eps, fused=True)


class RmsProp(Spec):
    """RMSprop (Tieleman and Hinton 2012): r <- alpha r + (1 - alpha) g^2, u = g / (sqrt(r) + eps), w <- w - lr u.

    With a momentum the step is that of v <- momentum v + u, w <- w - lr v.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    alpha: Rate = 0.99
    """Decay of the running mean of the squared gradient."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator, against a division by zero."""
    momentum: Rate = 0.0
    """Share of the velocity that is kept from step to step."""

    def build(self, parameters: ParamsT) -> torch.optim.Optimizer:
        import torch

        return torch.optim.RMSprop(parameters, alpha=self.alpha, eps=self.eps, momentum=self.momentum, foreach=True)


Optimizer = Annotated[Sgd | Adam | AdamW | RmsProp, Field(discriminator="kind")]
