"""Whether a net learns the same from our loop as from torchvision's transforms and a DataLoader, on real CIFAR-10.

Several seeds each, the same nets, images and recipe; printed are means with 95 % intervals (Student's t) and the
interval of the difference (Welch). The images are those of the data kind `image_folder` in HPO_DATA_DIR/cifar10.

Run as `python -m benchmarks.same_accuracy [--seeds 6]`; the last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import torch
from scipy import stats

from benchmarks.reference import Pixels, Recipe, train
from hpo.trainers.images.data import ImageFolder, Images, Splits, split
from hpo.trainers.images.device import configure_torch
from hpo.trainers.images.loop import Decision, fit
from hpo.trainers.images.trial import TrialSpec

CPU = torch.device("cpu")
NETS: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "mlp", "hidden": [100, 100]},
    "cnn": {"kind": "cnn", "channels": [16, 32, 32]},
}


@dataclass(frozen=True)
class Setting:
    """What is trained."""

    net: str
    folder: str
    images: int
    epochs: int

    def trial(self) -> TrialSpec:
        """For ours."""
        return TrialSpec.model_validate(
            {
                "epochs": self.epochs,
                "batch_size": 64,
                "data": {
                    "kind": "image_folder",
                    "folder": self.folder,
                    "validation": 5000,
                    "train_limit": self.images,
                },
                "augment": {"crop": 4, "flip": True},
                "model": NETS[self.net],
                "optimizer": {"kind": "sgd", "momentum": 0.9},
                "lr": {"kind": "cosine", "peak": 0.02},
                "regularizers": {"l2": {"kind": "l2", "strength": 5e-4, "on": "all"}},
            }
        )

    def splits(self) -> Splits:
        """The images, the same for both."""
        source = self.trial().data
        assert isinstance(source, ImageFolder)
        return split(source.load(), source, with_test=False, device=CPU)


def main() -> None:
    """Measure, and say so."""
    parser = argparse.ArgumentParser(description="Trains the same nets with our loop and with a DataLoader.")
    parser.add_argument("--folder", default="cifar10", help="a folder of images in HPO_DATA_DIR")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=6)
    asked = parser.parse_args()
    result: dict[str, dict[str, Any]] = {}
    for net in NETS:
        setting = Setting(net, asked.folder, asked.images, asked.epochs)
        setting.splits()  # decoded once, before the processes begin
        runs = [(setting, seed) for seed in range(asked.seeds)]
        with ProcessPoolExecutor(max_workers=2) as pool:
            ours = list(pool.map(_ours, *zip(*runs, strict=True)))
            reference = list(pool.map(_reference, *zip(*runs, strict=True)))
        low, high = _difference(ours, reference)
        result[net] = {"hpo": _mean(ours), "dataloader": _mean(reference), "difference": [low, high]}
        for name, accuracies in (("hpo", ours), ("DataLoader", reference)):
            mean, half = _mean(accuracies)
            print(f"{net} {name:10} {mean:6.2f} ± {half:.2f} % validation accuracy, {len(accuracies)} seeds")
        print(f"{net} difference [{low:+.2f}, {high:+.2f}] points")
    print(json.dumps(result))


def _ours(setting: Setting, seed: int) -> float:
    configure_torch(CPU)
    outcome = fit(setting.trial(), seed, setting.splits(), lambda evaluation, checkpoint: Decision.CONTINUE)
    assert outcome.validation is not None
    return 100 * outcome.validation.accuracy


def _reference(setting: Setting, seed: int) -> float:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    splits, trial = setting.splits(), setting.trial()
    model = trial.model.build((3, 32, 32), splits.classes)
    mean, std = tuple(splits.mean.tolist()), tuple(splits.std.tolist())
    recipe = Recipe(trial.epochs, trial.batch_size, trial.lr.peak, 0.9, 5e-4, True, mean, std)
    return 100 * train(model, recipe, _pixels(splits.train), _pixels(splits.validation), 0, CPU)


def _pixels(images: Images) -> Pixels:
    return Pixels(images.inputs.permute(0, 2, 3, 1).contiguous().numpy(), images.labels.tolist())


def _mean(accuracies: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its interval."""
    half = stats.t.ppf(0.975, len(accuracies) - 1) * stdev(accuracies) / sqrt(len(accuracies))
    return round(fmean(accuracies), 2), round(float(half), 2)


def _difference(ours: Sequence[float], reference: Sequence[float]) -> tuple[float, float]:
    interval = stats.ttest_ind(ours, reference, equal_var=False).confidence_interval(0.95)
    return round(float(interval.low), 2), round(float(interval.high), 2)


if __name__ == "__main__":
    main()
