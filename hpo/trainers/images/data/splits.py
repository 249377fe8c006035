"""What a trial sees of a data set: a stratified split, and the statistics to normalize with.

The split depends on the labels, the spec and its seed alone: it is the same on every node and device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpo.errors import DataError
from hpo.trainers.images.data.images import Dataset, Images, Splits
from hpo.trainers.images.data.source import Source, UncountedSource, held_out

if TYPE_CHECKING:
    import torch
    from torch import Tensor


AT_ONCE = 1024
"""Images whose pixels are counted together: each takes eight times its memory meanwhile."""


def split(dataset: Dataset, source: Source, *, with_test: bool, device: torch.device) -> Splits:
    """The parts of `dataset` that a trial may see, resident on `device`.

    Raises:
        DataError: validation and steer take nothing or everything, there is one class alone, or one without a training
            image.
    """
    labels = dataset.train.labels
    try:
        count = held_out(source.validation, len(labels))
        steering = 0 if source.steer is None else held_out(source.steer, len(labels), "steer")
    except ValueError as error:
        raise DataError(str(error)) from None
    validation, train = hold_out(labels, count, source.split_seed)
    if steering >= len(train):
        raise DataError(f"steer = {source.steer} takes all of the {len(train):,} images that validation leaves")
    steer, rest = hold_out(labels[train], steering, source.split_seed)
    steer, train = train[steer], train[rest] if steering else train  # without it the split is what it was
    if source.train_limit is not None and source.train_limit < len(train):
        train = train[hold_out(labels[train], source.train_limit, source.split_seed)[0]]
    _check_classes(dataset, source, labels[train])
    images = dataset.train.take(train)
    mean, std = statistics(images.inputs)
    return Splits(
        train=images.to(device),
        validation=dataset.train.take(validation).to(device),
        test=dataset.test.to(device) if with_test else None,
        classes=len(dataset.classes),
        mean=mean.to(device),
        std=std.to(device),
        steer=dataset.train.take(steer).to(device) if steering else None,
    )


def sample(splits: Splits, seed: int) -> Images:
    """Training images, as many as feedback compares them with, each class in its proportion; all if there are fewer."""
    train, count = splits.train, len(splits.steer or splits.validation)
    if count >= len(train):
        return train
    chosen, _ = hold_out(train.labels.cpu(), count, seed)
    return train.take(chosen.to(train.labels.device))


def hold_out(labels: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of `count` images, each class in its proportion, and of the others; both shuffled."""
    import torch

    # The stream of RandomState is frozen across versions of NumPy: nodes with different ones split alike.
    order = np.random.RandomState(seed).permutation(len(labels))
    shuffled = labels.numpy()[order]
    quota, remainder = np.divmod(count * np.bincount(shuffled), len(labels))
    quota[np.argsort(-remainder, kind="stable")[: count - quota.sum()]] += 1
    chosen = np.zeros(len(labels), dtype=bool)
    for label, number in enumerate(quota):
        chosen[np.flatnonzero(shuffled == label)[:number]] = True
    return torch.from_numpy(order[chosen]), torch.from_numpy(order[~chosen])


def statistics(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (1 in place of 0) per channel of uint8 (N, C, H, W) as floats in 0..1."""
    import torch

    # From a histogram: exact whole numbers, the same on every node whatever its threads; little memory.
    values = torch.arange(256, dtype=torch.float64) / 255
    parts = (inputs[begin : begin + AT_ONCE] for begin in range(0, len(inputs), AT_ONCE))
    counts = torch.zeros(inputs.shape[1], 256, dtype=torch.int64, device=inputs.device)
    for part in parts:
        counts += torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in part.unbind(1)])
    share = counts / counts.sum(1, keepdim=True, dtype=torch.float64)
    mean = (share * values).sum(1)
    std = (share * (values - mean[:, None]) ** 2).sum(1).sqrt()
    std[(counts > 0).sum(1) == 1] = 1.0
    return mean.float(), std.float()


def _check_classes(dataset: Dataset, source: Source, labels: Tensor) -> None:
    import torch

    told = source.classes if isinstance(source, UncountedSource) else None
    if told is not None and told != len(dataset.classes):
        raise DataError(
            f"the images have {len(dataset.classes)} classes, not {told}", hint="correct data.classes, or leave it out"
        )
    if len(dataset.classes) < 2:
        [only] = dataset.classes
        raise DataError(f"all images belong to one class, {only!r}; classification needs at least two")
    counts = torch.bincount(labels, minlength=len(dataset.classes))
    if empty := [name for name, count in zip(dataset.classes, counts.tolist(), strict=True) if count == 0]:
        raise DataError(
            f"{len(empty)} of {len(dataset.classes)} classes, the first {empty[0]!r}, have no image among "
            f"the {len(labels)} training images (of {len(dataset.train)}, with validation = {source.validation}, "
            f"steer = {source.steer}, train_limit = {source.train_limit})",
            hint="hold out fewer images, or raise train_limit",
        )
