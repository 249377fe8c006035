"""What a built regularizer is: the places of an optimizer step at which it acts, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from hpo.errors import StudyFileError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    Rate = float | Tensor
    """A learning rate; on a GPU a tensor of no dimension, so that a recorded step sees it move."""

Which = Literal["weights", "all"] | Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Regularizer:
    """What a built regularizer does; None where it does nothing."""

    on_change: Callable[[float], None] | None = None
    """(strength): before the first step, whenever the strength has moved, and after a resume."""
    minibatches: Callable[[float], int] | None = None
    """(strength) -> how many minibatches of the trial's batch size the coming step takes together, at least 1."""
    on_inputs: Callable[[Tensor, float], Tensor] | None = None
    """(images (B, C, H, W) as floats, strength) -> images that the model sees instead."""
    on_loss: Callable[[Tensor, Tensor, float], Tensor] | None = None
    """(loss, logits (B, classes), strength) -> the loss that is differentiated instead; reported is the first one."""
    on_loss_gradients: Callable[[float], None] | None = None
    """(strength): after the backward pass, on the loss's gradients, before any penalty is added."""
    decays: Sequence[Tensor] | None = None
    """Parameters to whose gradients strength x w is added, by the optimizer in its one pass over them."""
    on_gradients: Callable[[float], None] | None = None
    """(strength): after that, to add another penalty's gradient."""
    on_weights: Callable[[float, Rate], None] | None = None
    """(strength, learning rate): before the optimizer's step, when all gradients are complete."""
    on_step: Callable[[float, Rate], Callable[[], None]] | None = None
    """(strength, learning rate) -> what is to be done once the optimizer has taken the step that comes now."""


def parameters(model: nn.Module, which: Which) -> list[Tensor]:
    """The trained tensors that a regularizer acts on: "weights" leaves out biases and normalization (one dimension).

    Raises:
        StudyFileError: the model has no parameter of one of the names.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if isinstance(which, str):
        return [parameter for parameter in trained.values() if which == "all" or parameter.ndim > 1]
    for pattern in which:
        if not any(fnmatchcase(name, pattern) for name in trained):
            raise StudyFileError(f"on: the model has no parameter {pattern!r}", hint=f"it has {', '.join(trained)}")
    return [p for name, p in trained.items() if any(fnmatchcase(name, pattern) for pattern in which)]


def decay_groups(model: nn.Module, regularizers: Mapping[str, Regularizer]) -> list[dict[str, Any]]:
    """The optimizer's groups of parameters: those of a group are decayed by the same regularizers, named in it."""
    groups: dict[tuple[str, ...], list[Tensor]] = {}
    decayed = {name: {id(tensor) for tensor in built.decays or ()} for name, built in regularizers.items()}
    for parameter in model.parameters():
        by = tuple(name for name, those in decayed.items() if id(parameter) in those)
        groups.setdefault(by, []).append(parameter)
    return [{"params": tensors, "decayed_by": by} for by, tensors in groups.items()]


def decay(optimizer: torch.optim.Optimizer, strengths: Mapping[str, float]) -> None:
    """Set how much each group's parameters are decayed in the coming step."""
    for group in optimizer.param_groups:
        group["weight_decay"] = sum((strengths[name] for name in group["decayed_by"]), 0.0)
