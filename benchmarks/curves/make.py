"""Make the table of curves: train every combination once, with every seed, through `hpo.trainers.images.fit`.

    python -m benchmarks.curves.make

One process, one thread, about 25 minutes. What is trained is kept in parts under --parts, so that a run which was
interrupted goes on where it stopped; the parts are then written to `digits.npz` beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpo.trainers.images.data import Splits, split
from hpo.trainers.images.device import TorchMachine, configure_torch
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.loop import Decision, Outcome, fit
from hpo.trainers.images.trial import TrialSpec
from hpo.worker.machine import environment

FILE = Path(__file__).with_name("digits.npz")
EPOCHS = 20
TRIAL: dict[str, Any] = {
    "epochs": EPOCHS,
    "batch_size": 20,
    "data": {"kind": "digits", "validation": 0.5, "train_limit": 200},
    "model": {"kind": "mlp", "hidden": [64, 64, 64]},
    "optimizer": {"kind": "sgd", "momentum": 0.9},
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {"kind": "constant"},
    "cosine": {"kind": "cosine"},
    "exponential": {"kind": "exponential", "factor": 0.8},
    "stages": {"kind": "stages", "factors": [1.0, 0.1, 0.01]},
}
POLICIES: dict[str, dict[str, Any]] = {
    "hold": {"kind": "hold"},
    "down": {"kind": "ramp", "direction": "down", "factor": 10.0},
    "up": {"kind": "ramp", "direction": "up", "factor": 10.0},
    "follows_lr": {"kind": "follows_lr", "power": 0.5, "limit": 16.0},
    "accuracy_gap": {"kind": "accuracy_gap"},
}
PEAKS = [float(f"{10 ** (-2.5 + place / 6):.4g}") for place in range(14)]
"""From 0.003162 to 0.4642, six to a factor of 10."""
STRENGTHS = [0.0, *(float(f"{10 ** (-5 + place / 3):.4g}") for place in range(13))]
"""0, and from 1e-5 to 0.1, three to a factor of 10."""
SEEDS = [0, 1]
WORST_LOSS = float(np.finfo(np.float16).max)

Part = dict[str, np.ndarray[Any, Any]]


def trial(schedule: str, peak: float, strength: float, policy: str) -> TrialSpec:
    """What one entry of the table trains."""
    regularizer = {"kind": "l2", "strength": strength, "policy": POLICIES[policy]}
    lr = SCHEDULES[schedule] | {"peak": peak}
    return TrialSpec.model_validate(TRIAL | {"lr": lr, "regularizers": {"l2": regularizer}})


def splits() -> Splits:
    """The images that every entry is trained on and measured with."""
    source = trial("cosine", PEAKS[0], 0.0, "hold").data
    return split(source.load(), source, with_test=True, device=torch.device("cpu"))


def distinct(schedule: str, strength: float, policy: str) -> str:
    """The policy that trains the same: all are equal at strength 0, and one that follows a constant rate holds."""
    return "hold" if strength == 0 or (schedule, policy) == ("constant", "follows_lr") else policy


def train(spec: TrialSpec, seed: int, images: Splits) -> tuple[list[Evaluation], Outcome]:
    """One trial with all it reports."""
    told: list[Evaluation] = []

    def report(evaluation: Evaluation, checkpoint: object) -> Decision:
        told.append(evaluation)
        return Decision.CONTINUE

    return told, fit(spec, seed, images, report)


def measure(seed: int, schedule: str, peak: float, images: Splits) -> Part:
    """All strengths and policies at one learning rate: arrays [strength, policy] and [strength, policy, epoch]."""
    shape = (len(STRENGTHS), len(POLICIES))
    part: Part = {
        "epochs": np.zeros(shape, np.uint8),
        "train_right": np.zeros((*shape, EPOCHS), np.uint8),
        "validation_right": np.zeros((*shape, EPOCHS), np.uint16),
        "validation_loss": np.full((*shape, EPOCHS), np.nan, np.float16),
        "test_right": np.zeros(shape, np.uint16),
    }
    places = {policy: place for place, policy in enumerate(POLICIES)}
    for row, strength in enumerate(STRENGTHS):
        for policy, column in places.items():
            same = distinct(schedule, strength, policy)
            if same != policy:
                for values in part.values():
                    values[row, column] = values[row, places[same]]
                continue
            told, outcome = train(trial(schedule, peak, strength, policy), seed, images)
            part["epochs"][row, column] = len(told)
            for evaluation in told:
                if not evaluation.finite:
                    break  # diverged: the last of its epochs has no loss and nothing right
                at = row, column, evaluation.epoch - 1
                part["train_right"][at] = round(evaluation.train.accuracy * len(images.train))
                part["validation_right"][at] = round(evaluation.validation.accuracy * len(images.validation))
                part["validation_loss"][at] = min(evaluation.validation.loss, WORST_LOSS)
            if outcome.test is not None and images.test is not None:
                part["test_right"][row, column] = round(outcome.test.accuracy * len(images.test))
    return part


def kept(path: Path, seed: int, schedule: str, peak: float, images: Splits) -> Part:
    """The part in that file, or else the part measured now and put there."""
    if not path.exists():
        part = measure(seed, schedule, peak, images)
        unfinished = path.with_suffix(".tmp.npz")
        np.savez(unfinished, **part)
        unfinished.replace(path)
    with np.load(path) as file:
        return dict(file)


def main() -> None:
    """Train what is missing and write the table."""
    parser = argparse.ArgumentParser(description="Makes the table of curves.")
    parser.add_argument("--parts", type=Path, default=Path("build/curves"), help="where unfinished work is kept")
    parser.add_argument("--output", type=Path, default=FILE)
    asked = parser.parse_args()
    asked.parts.mkdir(parents=True, exist_ok=True)
    configure_torch(torch.device("cpu"))
    images = splits()
    assert images.test is not None
    parts: list[Mapping[str, np.ndarray[Any, Any]]] = []
    for seed in SEEDS:
        for schedule in SCHEDULES:
            for place, peak in enumerate(PEAKS):
                path = asked.parts / f"{seed}-{schedule}-{place}.npz"
                parts.append(kept(path, seed, schedule, peak, images))
            print(f"seed {seed}, {schedule}: done", file=sys.stderr, flush=True)
    about = {
        "trial": TRIAL,
        "schedules": SCHEDULES,
        "policies": POLICIES,
        "images": {"train": len(images.train), "validation": len(images.validation), "test": len(images.test)},
        "made_with": environment(TorchMachine("cpu")),
    }
    lead = (len(SEEDS), len(SCHEDULES), len(PEAKS))
    curves = {key: np.stack([part[key] for part in parts]).reshape(*lead, *parts[0][key].shape) for key in parts[0]}
    axes = {"seeds": SEEDS, "schedules": list(SCHEDULES), "peaks": PEAKS, "strengths": STRENGTHS}
    np.savez_compressed(
        asked.output,
        about=json.dumps(about),
        **{k: np.array(v) for k, v in axes.items()},
        policies=list(POLICIES),
        **curves,
    )
    print(f"{asked.output}: {asked.output.stat().st_size / 2**20:.1f} MiB", file=sys.stderr)


if __name__ == "__main__":
    main()
