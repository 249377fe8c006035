"""What it saves to score a trial on validation less often, by the shapes of the flagship's profiles.

A trial of the grid of `studies/adaptive_vs_grid.toml`, profile by profile, is trained in this process once scored
after every epoch and once every `--every` epochs, in turns; said is the least CPU time of each over the rounds. The
weights after the last epoch are compared, too. CIFAR-10 must lie in `HPO_DATA_DIR/cifar10` as a folder of images.

Run as `python -m benchmarks.scoring`; the last line of the output is one JSON object of ratios.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from hpo.study.file import load
from hpo.trainers.images.data import Splits, cache
from hpo.trainers.images.device import choose_device, configure_torch, describe_device
from hpo.trainers.images.loop import Decision, fit
from hpo.trainers.images.trial import TrialSpec

FILE = Path(__file__).parent.parent / "studies" / "adaptive_vs_grid.toml"
PROFILES = ("small", "small_cnn")
LR = {"kind": "cosine", "peak": 0.02}


def main() -> None:
    """Measure, and say so."""
    parser = argparse.ArgumentParser(description="Times trials that are scored after every epoch, and less often.")
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    configure_torch(choose_device("cpu"))
    table = Table("profile", "every epoch, CPU s", f"every {asked.every} epochs", "ratio", "same weights")
    ratios = {}
    for profile in PROFILES:
        often, seldom, same = _measure(profile, asked.every, asked.rounds)
        ratios[profile] = round(seldom / often, 3)
        table.add_row(profile, f"{often:.2f}", f"{seldom:.2f}", f"{ratios[profile]:.2f}", "yes" if same else "NO")
    print(f"{describe_device(torch.device('cpu'))}, one thread, best of {asked.rounds}, in turns")
    Console(width=100).print(table)
    print(json.dumps(ratios))


def _measure(profile: str, every: int, rounds: int) -> tuple[float, float, bool]:
    """The least CPU seconds of both ways, and whether they end with the same weights."""
    study = load(FILE, profile=profile)
    trials = [TrialSpec.model_validate({**study.arm("grid").trial, "lr": LR, "score_every": n}) for n in (1, every)]
    splits = cache.splits(trials[0].data, False, torch.device("cpu"))
    found: dict[int, list[float]] = {0: [], 1: []}
    weights: dict[int, bytes | None] = {}
    for _ in range(rounds):
        for way, trial in enumerate(trials):
            seconds, weights[way] = _trained(trial, splits)
            found[way].append(seconds)
    return min(found[0]), min(found[1]), weights[0] == weights[1]


def _trained(trial: TrialSpec, splits: Splits) -> tuple[float, bytes | None]:
    began = time.process_time()
    outcome = fit(trial, 0, splits, lambda evaluation, checkpoint: Decision.CONTINUE, keep_weights=True)
    return time.process_time() - began, outcome.weights


if __name__ == "__main__":
    main()
