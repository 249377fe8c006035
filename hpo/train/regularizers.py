"""Regularizers: what acts on training besides the loss, each with a strength that a policy moves.

`build` binds a spec to a model and returns a `Regularizer`: a record of plain functions, one for each place where the
training loop asks. Penalties act through their gradient in closed form, which is the derivative of the penalty that the
docstring states; so the reported loss is always the cross-entropy alone, comparable between arms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from hpo.errors import StudyFileError
from hpo.train.policies import Governed

Which = Literal["weights", "all"]


@dataclass(frozen=True, slots=True)
class Regularizer:
    """What a built regularizer does; None where it does nothing."""

    on_inputs: Callable[[Tensor, float], Tensor] | None = None
    """(images (B, C, H, W) as floats, strength) -> images that the model sees instead."""
    on_gradients: Callable[[float], None] | None = None
    """(strength): after the backward pass, to add a penalty's gradient."""
    on_weights: Callable[[float, float], None] | None = None
    """(strength, learning rate): before the optimizer's step, when all gradients are complete."""
    on_change: Callable[[float], None] | None = None
    """(strength): before the first step, and whenever the strength has moved."""


def parameters(model: nn.Module, which: Which) -> list[Tensor]:
    """The trained tensors that a penalty acts on: "weights" leaves out biases and normalization (one dimension)."""
    return [p for p in model.parameters() if p.requires_grad and (which == "all" or p.ndim > 1)]


def _gradients(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.grad for tensor in tensors if tensor.grad is not None]


class WeightDecay(Governed):
    """Decoupled weight decay, w <- w - lr x strength x w (Loshchilov and Hutter 2019, AdamW as PyTorch writes it)."""

    kind: Literal["weight_decay"] = "weight_decay"
    ceiling: ClassVar[float] = math.inf
    on: Which = "weights"
    """All trained parameters, or without biases and normalization."""

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        tensors = parameters(model, self.on)

        def shrink(strength: float, lr: float) -> None:
            with torch.no_grad():
                torch._foreach_mul_(tensors, 1.0 - lr * strength)

        return Regularizer(on_weights=shrink)


class L2(Governed):
    """The penalty strength x 1/2 x sum of w^2, added to the mean cross-entropy: its gradient is strength x w.

    Under SGD this is what PyTorch calls weight_decay, there on all parameters.
    """

    kind: Literal["l2"] = "l2"
    ceiling: ClassVar[float] = math.inf
    on: Which = "weights"
    """All trained parameters, or without biases and normalization."""

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        tensors = parameters(model, self.on)

        def add(strength: float) -> None:
            with torch.no_grad():
                torch._foreach_add_(_gradients(tensors), tensors, alpha=strength)

        return Regularizer(on_gradients=add)


class Dropout(Governed):
    """The share of activations that the model's dropout layers set to zero (Srivastava et al. 2014)."""

    kind: Literal["dropout"] = "dropout"
    ceiling: ClassVar[float] = 0.95
    strength: float = Field(ge=0.0, le=0.95)
    """The share as stated; the policy multiplies or replaces it as the trial goes on, up to 0.95."""

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        layers = [module for module in model.modules() if isinstance(module, nn.Dropout)]
        if not layers:
            raise StudyFileError("the model has no dropout layer, so a dropout regularizer can't act on it")

        def set_rate(strength: float) -> None:
            for layer in layers:
                layer.p = strength

        return Regularizer(on_change=set_rate)


RegularizerSpec = Annotated[WeightDecay | L2 | Dropout, Field(discriminator="kind")]
