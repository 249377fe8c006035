"""Regularizers that hide something while training: activations, exact inputs, exact labels, parts of the gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hpo.errors import StudyFileError
from hpo.seeds import derive
from hpo.trainers.images.regularizers.record import Regularizer, Which, parameters
from hpo.trainers.moving.policies import Governed

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Dropout(Governed):
    """The share of activations that the model's dropout layers set to zero (Srivastava et al. 2014)."""

    kind: Literal["dropout"] = "dropout"
    ceiling: ClassVar[float] = 0.95
    strength: float = Field(ge=0.0, le=0.95)
    """The share as stated; the policy multiplies or replaces it during the trial, up to 0.95."""

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        from torch import nn

        layers = [module for module in model.modules() if isinstance(module, nn.Dropout)]
        if not layers:
            raise StudyFileError("the model has no dropout layer, so a dropout regularizer would have no effect")

        def set_rate(strength: float) -> None:
            for layer in layers:
                layer.p = strength

        return Regularizer(on_change=set_rate)


class InputNoise(Governed):
    """Gaussian noise on the training images, x + strength x N(0, 1), drawn independently for each value and each step.

    The strength is a standard deviation in normalised units: 1 is that of the training images of that channel.
    """

    kind: Literal["input_noise"] = "input_noise"
    ceiling: ClassVar[float] = math.inf

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        import torch

        def add(inputs: Tensor, strength: float) -> Tensor:
            return torch.randn_like(inputs).mul_(strength).add_(inputs)

        return Regularizer(on_inputs=add)


class LabelSmoothing(Governed):
    """Targets (1 - strength) x label + strength / classes in the cross-entropy (Szegedy et al. 2016, section 7).

    Training uses the smoothed loss; the reported train loss is that of the original labels.
    """

    kind: Literal["label_smoothing"] = "label_smoothing"
    ceiling: ClassVar[float] = 0.95
    strength: float = Field(ge=0.0, le=0.95)
    """The share as stated; the policy multiplies or replaces it during the trial, up to 0.95."""

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        from torch.nn import functional

        def smooth(loss: Tensor, logits: Tensor, strength: float) -> Tensor:
            uniform = -functional.log_softmax(logits, dim=1).mean()  # the loss of a target that is the same for all
            return (1.0 - strength) * loss + strength * uniform

        return Regularizer(on_loss=smooth)


class SparseGradient(Governed):
    """The share of the entries of each tensor's gradient that a mask sets to zero, rounded to whole entries.

    "Adapting Regularization with Learning Rate For Better Generalization in Neural Networks", section 2: the masks stay
    the same from step to step while the share does. The seed ranks the entries of each tensor at random, and a
    share hides those of the lowest ranks: the masks are nested, so what a share leaves, a smaller one leaves too, and a
    share that returns has the masks that it had. Penalties and weight decay come after the masks: they act on all
    entries.
    """

    kind: Literal["sparse_gradient"] = "sparse_gradient"
    ceiling: ClassVar[float] = 0.99
    strength: float = Field(ge=0.0, le=0.99)
    """The share as stated; the policy multiplies or replaces it during the trial, up to 0.99."""
    on: Which = "all"
    """All trained parameters, or without biases and normalization, or those of the names in a list: dotted module paths
    such as `linear1.weight`, where `*` stands for anything."""

    def build(self, model: nn.Module, seed: int) -> Regularizer:
        import torch

        tensors = parameters(model, self.on)
        ranks: list[Tensor] = []
        masks: list[Tensor] = []

        def cut(strength: float) -> None:
            if strength > 0 and not ranks:  # only now: before, the model may still move to another device
                generator = torch.Generator().manual_seed(derive(seed, "masks"))
                ranks[:] = [_ranks(tensor, generator) for tensor in tensors]
            pairs = zip(tensors, ranks, strict=True) if strength > 0 else ()
            masks[:] = [_mask(tensor, ranked, strength) for tensor, ranked in pairs]

        def apply(strength: float) -> None:
            for tensor, mask in zip(tensors, masks, strict=False):  # without masks, nothing is hidden
                if tensor.grad is not None:
                    tensor.grad.mul_(mask)

        return Regularizer(on_change=cut, on_loss_gradients=apply)


def _ranks(like: Tensor, generator: torch.Generator) -> Tensor:
    """A random rank from 0 for each entry (int32), drawn on the CPU: the same on every device."""
    import torch

    ranks = torch.randperm(like.numel(), generator=generator, dtype=torch.int32)
    return torch.empty_like(like, dtype=torch.int32).copy_(ranks.view(like.shape))


def _mask(like: Tensor, ranks: Tensor, share: float) -> Tensor:
    """Zeros in a `share` of the entries, those of the lowest ranks, and ones elsewhere."""
    return (ranks >= round(share * ranks.numel())).to(like.dtype)
