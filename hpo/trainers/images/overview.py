"""What the images of a study are on this machine: how many of which class in each part, their shape and statistics.

What the machine lacks for training on them is said too, and refuses nothing: others may train the study.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from hpo.trainers.images.cost import Cost, cost
from hpo.trainers.images.data.cache import DataCache
from hpo.trainers.images.data.images import Dataset, Images, Splits
from hpo.trainers.images.device import lacks
from hpo.trainers.images.models import Model as ModelSpec
from hpo.trainers.images.trial import TrialSpec
from hpo.words.nouns import count

MOST_CLASSES = 20
"""Listed one by one; of more only the smallest and the largest number are shown."""


def overview(trials: Mapping[str, TrialSpec]) -> RenderableType:
    """Load images as a worker would, and say what they are, and what the arms' nets cost on them.

    Raises:
        MachineError: as a worker would.
        StudyFileError: a net does not take such images.
    """
    trial = next(iter(trials.values()))
    cache = DataCache()
    dataset = cache.load(trial.data)
    found = described(dataset, cache.splits(trial.data, True, torch.device("cpu")))
    missing = lacks(trial.precision, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    parts = [found, _nets({arm: spec.model for arm, spec in trials.items()}, dataset)]
    return Group(*parts, *([] if missing is None else [Text(f"\nno worker on this machine can train it: {missing}")]))


def _nets(models: Mapping[str, ModelSpec], dataset: Dataset) -> RenderableType:
    """What the net of each arm costs, the same costs in one line; what is searched of a net is as the arm begins.

    Under a net with separated convolutions stands what it would cost with whole ones.
    """
    channels, height, width = dataset.train.inputs.shape[1:]
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("net", "parameters", "multiply-adds per image"):
        view.add_column(name, justify="left" if name == "net" else "right", overflow="fold")
    arms_of: dict[Cost, list[str]] = {}
    for arm, model in models.items():
        found = cost(model.build((channels, height, width), len(dataset.classes)), (channels, height, width))
        arms_of.setdefault(found, []).append(arm)
    for found, arms in arms_of.items():
        name = "of every arm" if len(arms_of) == 1 else ", ".join(arms)
        view.add_row(Text(name), f"{found.parameters:,}", f"{found.multiply_adds:,}")
        if found.is_separated:
            whole = (f"{found.whole_parameters:,}", f"{found.whole_multiply_adds:,}")
            view.add_row("  with whole convolutions", *whole)
    return Group(Text(), view)


def described(dataset: Dataset, splits: Splits) -> RenderableType:
    """What one looks at to see whether images were read as they were meant."""
    channels, height, width = dataset.train.inputs.shape[1:]
    held_out = len(splits.validation) + len(splits.steer or ())
    left_out = len(dataset.train) - len(splits.train) - held_out
    lines = [
        f"{count(channels, 'channel')} of {height} x {width} pixels (height x width)",
        f"mean {_per_channel(splits.mean)}, standard deviation {_per_channel(splits.std)}",
        "  per channel of the training images; black is 0, white is 1",
        f"fingerprint {dataset.fingerprint[:16]}",
    ]
    if left_out:
        lines.append(f"{count(left_out, 'further training image')}, left out by train_limit")
    return Group(
        Text("\nimages on this machine", style="bold"), _counts(dataset.classes, splits), Text("\n".join(lines))
    )


def _counts(classes: tuple[str, ...], splits: Splits) -> Table:
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column("class", overflow="fold")
    steer = {} if splits.steer is None else {"steer": splits.steer}
    parts = {"training": splits.train, "validation": splits.validation, **steer, "test": splits.test}
    numbers = []
    for name, part in parts.items():
        view.add_column(name, justify="right")
        numbers.append(_of_each_class(part, len(classes)))
    if len(classes) <= MOST_CLASSES:
        for label, name in enumerate(classes):
            view.add_row(Text(name), *(f"{found[label]:,}" for found in numbers))
    else:
        view.add_row(f"each of {len(classes):,}", *(_range(found) for found in numbers))
    view.add_row("all", *(f"{sum(found):,}" for found in numbers))
    return view


def _of_each_class(part: Images | None, classes: int) -> list[int]:
    assert part is not None
    numbers: list[int] = part.labels.bincount(minlength=classes).tolist()
    return numbers


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _per_channel(values: Tensor) -> str:
    return ", ".join(f"{value:.3f}" for value in values.tolist())
