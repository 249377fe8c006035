"""The values that data sets are made of: images, a data set, and its typed splits.

Images stay `uint8` from the disk to the device; a batch becomes floating point only when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Images:
    """Labelled images: `inputs` uint8 (N, C, H, W), `labels` int64 (N,)."""

    inputs: Tensor
    labels: Tensor
    made: dict[object, object] = field(default_factory=dict, compare=False, repr=False)
    """What was made of the images and is kept as long as they are, for the next trial."""

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Images:
        """Return the images, resident on `device`."""
        return Images(self.inputs.to(device), self.labels.to(device))

    def take(self, indices: Tensor) -> Images:
        """The images at `indices` (int64), in that order."""
        return Images(self.inputs[indices], self.labels[indices])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set as it lies on a node, on the CPU: what is learned from, and what is kept for the end."""

    train: Images
    test: Images
    classes: tuple[str, ...]
    fingerprint: str
    """SHA-256 over shapes, pixels and labels: the same on every node that holds the same data."""


@dataclass(frozen=True, slots=True)
class Splits:
    """What a trial may see. In the search phase `test` is None: nothing can select on it by mistake."""

    train: Images
    validation: Images
    test: Images | None
    classes: int
    mean: Tensor
    """Per channel, (C,), of the training images as floats in 0..1."""
    std: Tensor
    """Per channel, (C,), likewise."""
    steer: Images | None = None
    """What feedback policies look at in place of validation, where the data set's spec sets it apart."""
