"""Training as one would write it without `hpo`: torchvision's data set and transforms, a DataLoader, `.item()` a step.

What our loop is measured against, in speed and in what the net learns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Pixels:
    """Images as torchvision's CIFAR-10 keeps them: uint8 (N, 32, 32, 3), and their labels."""

    images: np.ndarray[Any, Any]
    labels: list[int]


class Cifar10(torchvision.datasets.CIFAR10):
    """torchvision's data set over images that are given."""

    def __init__(self, pixels: Pixels, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.data, self.targets = pixels.images, pixels.labels
        self.transform, self.target_transform = transform, None


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how: SGD with coupled weight decay on all parameters, a cosine from `lr` to 0 by epochs."""

    epochs: int
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float
    augment: bool
    """RandomCrop(32, padding=4) and RandomHorizontalFlip."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def loader(self, pixels: Pixels, *, training: bool, workers: int) -> Any:
        """The DataLoader over `pixels`, to train on or to evaluate."""
        moves = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
        to_tensor = [transforms.ToTensor(), transforms.Normalize(self.mean, self.std)]
        return DataLoader(
            Cifar10(pixels, transforms.Compose([*(moves if training and self.augment else []), *to_tensor])),
            self.batch_size if training else EVALUATION_BATCH,
            shuffle=training,
            drop_last=training,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="fork" if workers else None,
        )


def train(
    model: nn.Module, recipe: Recipe, training: Pixels, validation: Pixels, workers: int, device: torch.device
) -> float:
    """Train `model`; returns its validation accuracy (0..1) after the last epoch."""
    batches = recipe.loader(training, training=True, workers=workers)
    held_out = recipe.loader(validation, training=False, workers=workers)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs)
    accuracy = 0.0
    for _ in range(recipe.epochs):
        model.train()
        total, correct = 0.0, 0
        for inputs, labels in batches:
            inputs, labels = inputs.to(device), labels.to(device)
            optimizer.zero_grad()
            logits = model(inputs)
            loss = functional.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
            correct += int((logits.argmax(1) == labels).sum().item())
        scheduler.step()
        model.eval()
        total, correct = 0.0, 0
        with torch.no_grad():
            for inputs, labels in held_out:
                inputs, labels = inputs.to(device), labels.to(device)
                logits = model(inputs)
                total += functional.cross_entropy(logits, labels, reduction="sum").item()
                correct += int((logits.argmax(1) == labels).sum().item())
        accuracy = correct / len(validation.labels)
    return accuracy
