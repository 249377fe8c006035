"""Four tasks that differ in what weight decay does for them: each a model, and examples to train and to score it.

An example is an input and one or several targets, all of them classes. Which examples are held out depends on the task
alone, so it is the same in every trial, whatever its seed. Each task has a small size, of some seconds on a CPU core,
and a large one for a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pydoc_data.topics import topics

import numpy as np
import torch
from torch import Tensor, nn

Examples = tuple[Tensor, Tensor]
"""Inputs, and the class or the classes of each."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained, on what, and how much of it makes a unit."""

    train: Examples
    validation: Examples
    test: Examples
    model: nn.Module
    """Gives logits with the classes last; its weights are drawn by torch's generator."""
    batch: int
    """Examples in a step."""
    steps: int
    """Steps in a unit."""


def digits(large: bool) -> Task:
    """Handwritten digits in 8 x 8 pixels (Alpaydin and Kaynak 1998): a tenth of them to train on, so it overfits."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    parts = _parts(torch.tensor(pixels / 8.0 - 1.0, dtype=torch.float32), torch.tensor(labels), (180, 719, 898))
    width = 512 if large else 64
    hidden = [nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return Task(*parts, nn.Sequential(*hidden, nn.Linear(width, 10)), batch=20, steps=100 if large else 20)


def images(large: bool) -> Task:
    """CIFAR-10 in a convolutional network; small, 2,000 of the images at half their size."""
    from hpo.trainers.images.data import ImageFolder, split

    few = None if large else 2000
    source = ImageFolder(folder="cifar10", classes=10, validation=5000 if large else 1000, train_limit=few)
    found = split(source.load(), source, with_test=True, device=torch.device("cpu"))
    assert found.test is not None
    scaled = [
        ((part.inputs / 255.0 - found.mean[:, None, None]) / found.std[:, None, None], part.labels)
        for part in (
            found.train,
            found.validation,
            found.test.take(torch.arange(0, len(found.test), 1 if large else 4)),
        )
    ]
    channels = [3, 64, 128, 256] if large else [3, 12, 24, 48]
    layers: list[nn.Module] = [] if large else [nn.AvgPool2d(2)]
    for narrow, wide in pairwise(channels):
        layers += [nn.Conv2d(narrow, wide, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(10))
    model(scaled[0][0][:1])  # gives the lazy layer its shape
    return Task(*scaled, model, batch=100, steps=450 if large else 12)


def addition(large: bool) -> Task:
    """Sums modulo a prime, 60 % of the table to train on: it learns the table long before the rule, if it ever does.

    Power et al. (2022), "Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets" (arXiv 2201.02177),
    where the rule depends on weight decay more than on anything else.
    """
    modulus, width = (97, 512) if large else (31, 128)
    pairs = torch.cartesian_prod(torch.arange(modulus), torch.arange(modulus))
    train, held_out = 3 * len(pairs) // 5, len(pairs) // 5
    parts = _parts(pairs, pairs.sum(1) % modulus, (train, held_out, len(pairs) - train - held_out))
    model = nn.Sequential(
        nn.Embedding(modulus, 48), nn.Flatten(), nn.Linear(96, width), nn.ReLU(), nn.Linear(width, modulus)
    )
    return Task(*parts, model, batch=512, steps=500 if large else 50)


def characters(large: bool) -> Task:
    """The next character of the documentation that comes with Python, by a transformer."""
    text = "\n".join(topics[name] for name in sorted(topics))
    known = sorted(set(text))
    number = {character: i for i, character in enumerate(known)}
    data = torch.tensor([number[character] for character in text])
    window, width, layers = (128, 256, 6) if large else (32, 32, 2)

    def windows(block: Tensor, apart: int) -> Examples:
        cut = block.unfold(0, window + 1, apart)
        return cut[:, :-1], cut[:, 1:]

    # Blocks one after the other, so that no window reaches from one into another; small, little enough to overfit.
    train, validation, test = data.tensor_split((len(data) * 8 // 10, len(data) * 9 // 10))
    return Task(
        windows(train if large else train[:60_000], 4),
        windows(validation if large else validation[:8_000], window),
        windows(test if large else test[:16_000], window),
        Transformer(len(known), window, width, layers),
        batch=64 if large else 24,
        steps=500 if large else 25,
    )


class Transformer(nn.Module):
    """Layers of attention that look back, normalized before (Radford et al. 2019)."""

    def __init__(self, characters: int, window: int, width: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.places = nn.Parameter(0.02 * torch.randn(window, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.output = nn.Linear(width, characters)
        self.register_buffer("ahead", torch.full((window, window), -torch.inf).triu(1), persistent=False)

    def forward(self, text: Tensor) -> Tensor:
        return self.output(self.layers(self.embedding(text) + self.places, mask=self.ahead, is_causal=True))


TASKS: dict[str, Callable[[bool], Task]] = {
    "digits": digits,
    "images": images,
    "addition": addition,
    "characters": characters,
}


def _parts(inputs: Tensor, labels: Tensor, sizes: tuple[int, int, int]) -> list[Examples]:
    """Parts of these sizes, drawn at random but always the same."""
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(labels)))
    return [(inputs[part], labels[part]) for part in order[: sum(sizes)].split(list(sizes))]
