"""What a built regularizer is: the places of an optimizer step at which it acts, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

Which = Literal["weights", "all"]


@dataclass(frozen=True, slots=True)
class Regularizer:
    """What a built regularizer does; None where it does nothing."""

    on_change: Callable[[float], None] | None = None
    """(strength): before the first step, whenever the strength has moved, and after a resume."""
    on_inputs: Callable[[Tensor, float], Tensor] | None = None
    """(images (B, C, H, W) as floats, strength) -> images that the model sees instead."""
    on_loss: Callable[[Tensor, Tensor, float], Tensor] | None = None
    """(loss, logits (B, classes), strength) -> the loss that is differentiated instead; reported is the first one."""
    on_loss_gradients: Callable[[float], None] | None = None
    """(strength): after the backward pass, on the loss's gradients, before any penalty is added."""
    on_gradients: Callable[[float], None] | None = None
    """(strength): after that, to add a penalty's gradient."""
    on_weights: Callable[[float, float], None] | None = None
    """(strength, learning rate): before the optimizer's step, when all gradients are complete."""


def parameters(model: nn.Module, which: Which) -> list[Tensor]:
    """The trained tensors that a regularizer acts on: "weights" leaves out biases and normalization (one dimension)."""
    return [p for p in model.parameters() if p.requires_grad and (which == "all" or p.ndim > 1)]
