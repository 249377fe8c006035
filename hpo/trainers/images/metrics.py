"""What is measured of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpo.errors import StudyFileError
from hpo.trainers.images.batches import Normalize
from hpo.trainers.images.data.images import Images
from hpo.trainers.moving.clock import Score

EVALUATION_BATCH, EVALUATION_BATCH_ON_CPU = 1024, 256
"""Images that are scored at once. A GPU wants many; a CPU's cache holds what becomes of 256 on the way through a small
net, and 1,024 at once take 1.5 to 1.9 times as long in a convolutional one."""


@torch.no_grad()
def score(
    model: nn.Module,
    images: Images,
    normalize: Normalize,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Score:
    """Mean cross-entropy and accuracy of `model` over all `images`; the device is waited for once."""
    model.eval()
    loss = torch.zeros((), device=images.labels.device)
    correct = torch.zeros((), device=images.labels.device)
    size = EVALUATION_BATCH_ON_CPU if loss.device.type == "cpu" else EVALUATION_BATCH
    for start in range(0, len(images), size):
        labels = images.labels[start : start + size]
        inputs = normalize(images.inputs[start : start + size])
        logits = model(inputs.contiguous(memory_format=memory_format))
        loss += functional.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(dim=1) == labels).sum()
    return Score(loss=loss.item() / len(images), accuracy=correct.item() / len(images))


def sparsity(weights: Sequence[Tensor], below: float) -> Tensor:
    """The share of entries (0..1) whose absolute value is at most `below`, on their device."""
    small = torch.stack([(weight.detach().abs() <= below).sum() for weight in weights]).sum()
    return small / sum(weight.numel() for weight in weights)


def named_parameters(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Parameter]:
    """The parameters called `names`.

    Raises:
        StudyFileError: the model has no parameter of that name.
    """
    known = dict(model.named_parameters())
    for name in names:
        if name not in known:
            raise StudyFileError(
                f"gradient_norms: the model has no parameter {name!r}", hint=f"it has {', '.join(known)}"
            )
    return {name: known[name] for name in names}


def gradient_norm(parameter: nn.Parameter) -> Tensor:
    """The 2-norm of the parameter's present gradient, still on its device."""
    assert parameter.grad is not None
    norm: Tensor = torch.linalg.vector_norm(parameter.grad)
    return norm
