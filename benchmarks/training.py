"""How fast a trial trains: `hpo` beside a loop as one would write it with torchvision and a DataLoader.

Both train the same net with the same optimizer on the same images (made up: their content does not matter here), in
turns, each with the whole machine: the reference one trial at a time with torch's threads on every core, as it is by
default; `hpo` a worker with one thread on each core, as it is by default, so several trials at once. Compared is the
time a trial takes of the machine, as a ratio within a round; said is the median over the rounds. The reference is
torchvision's CIFAR-10 data set, transformed image by image, a DataLoader, and `.item()` at every step. The input
pipeline and the loop's overhead are measured in one process each.

Run as `python -m benchmarks.training [--quick]`; the last line of the output is one JSON object of ratios.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from benchmarks.reference import Pixels, Recipe, train
from hpo.trainers.images.augment import Augment
from hpo.trainers.images.batches import Batches, Normalize
from hpo.trainers.images.data.images import Images, Splits
from hpo.trainers.images.device import choose_device, configure_torch, describe_device, lacks
from hpo.trainers.images.loop import Decision, fit
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec

MEAN, STD = (0.4913, 0.4821, 0.4465), (0.2470, 0.2435, 0.2616)
LR, WEIGHT_DECAY = 0.05, 5e-4
MOST_WORKERS = 8
STEPS_AT_ONCE = 10
"""Optimizer steps that are timed together where a step is compared with a bare one."""


@dataclass(frozen=True)
class Case:
    """A trial that both train."""

    name: str
    model: dict[str, Any]
    batch_size: int
    train: int
    """Images; a multiple of the batch size."""
    validation: int
    augment: bool
    epochs: int = 2
    momentum: float = 0.9

    def halved(self) -> Case:
        """The same on half of the images, for one epoch."""
        return replace(self, train=self.train // 2, validation=self.validation // 2, epochs=1)

    def trial(self, precision: str = "float32") -> TrialSpec:
        return TrialSpec.model_validate(
            {
                "epochs": self.epochs,
                "batch_size": self.batch_size,
                "data": {"kind": "cifar10"},
                "augment": {"crop": 4, "flip": True} if self.augment else {},
                "model": self.model,
                "optimizer": {"kind": "sgd", "momentum": self.momentum},
                "lr": {"kind": "cosine", "peak": LR},
                "regularizers": {"l2": {"kind": "l2", "strength": WEIGHT_DECAY, "on": "all"}},
                "precision": precision,
            }
        )

    def recipe(self) -> Recipe:
        """The same trial for the reference."""
        return Recipe(self.epochs, self.batch_size, LR, self.momentum, WEIGHT_DECAY, self.augment, MEAN, STD)


CASES = [
    Case("mlp", {"kind": "mlp", "hidden": [100, 100], "activation": "sigmoid"}, 64, 12_800, 1_000, False, momentum=0.0),
    Case("cnn", {"kind": "cnn"}, 128, 2_560, 500, True),
    Case("resnet", {"kind": "resnet", "depth": 14}, 50, 800, 200, True),
    Case("mobilenet", {"kind": "mobilenet"}, 128, 512, 128, True, epochs=1),
]
BF16 = ("cnn", "resnet")
"""Nets for which 16 bits pay on a CPU."""


def main() -> None:
    """Measure, and say so."""
    parser = argparse.ArgumentParser(description="Times training, ours and a loop with a DataLoader, side by side.")
    parser.add_argument(
        "--quick", action="store_true", help="three rounds in place of seven, of an epoch on half of the images"
    )
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    rounds, cases = (3, [case.halved() for case in CASES]) if asked.quick else (7, CASES)
    device = choose_device(asked.device)
    workers = min(os.cpu_count() or 1, MOST_WORKERS) if device.type == "cpu" else 1
    ours, reference = Side(_ours, str(device), workers), Side(_reference, str(device))
    without_bf16 = lacks("bfloat16", device)
    bf16 = () if without_bf16 else BF16
    ratios: dict[str, float] = {}
    table = Table("", "DataLoader, 2 workers", "DataLoader", "hpo", "hpo, bfloat16", "ratio", "ratio, bfloat16")
    try:
        for case in cases:
            rows = [_trial_times(case, ours, reference, case.name in bf16) for _ in range(rounds)]
            table.add_row(f"{case.name}: seconds a trial", *_cells(rows))
            ratios[f"{case.name}_vs_dataloader"] = _ratio(rows, "0 workers", "float32")
            if case.name in bf16:
                ratios[f"{case.name}_bf16_vs_dataloader"] = _ratio(rows, "0 workers", "bfloat16")
        rows = [
            {"0 workers": reference("images", 3_200, 0), "2 workers": reference("images", 6_400, 2)}
            | {"float32": ours("images", 50_000, alone=True)}
            for _ in range(rounds)
        ]
        table.add_row("input: seconds per 1,000 images", *_cells(rows))
        ratios["input_vs_dataloader"] = _ratio(rows, "0 workers", "float32")
        for case in cases[:2]:
            ratios[f"{case.name}_loop_overhead"] = ours("overhead", case, rounds, alone=True) - 1.0
    finally:
        ours.close()
        reference.close()
    print(f"{describe_device(device)}, {workers} workers, medians of {rounds} rounds")
    Console(width=120).print(table)
    if without_bf16:
        print(f"bfloat16 was not measured: {without_bf16}")
    for name in ("mlp", "cnn"):
        overhead = ratios[f"{name}_loop_overhead"]
        print(f"{name}: a step of the loop takes {overhead:+.1%} of the time of a bare step on a resident batch")
    print(json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()}))


Times = dict[str, float]


def _trial_times(case: Case, ours: Side, reference: Side, in_bf16: bool) -> Times:
    times = {"2 workers": reference("trial", case, 2), "float32": ours("trial", case, "float32")}
    times |= {"0 workers": reference("trial", case, 0)}
    return times | ({"bfloat16": ours("trial", case, "bfloat16")} if in_bf16 else {})


def _cells(rows: list[Times]) -> list[str]:
    seconds = [
        f"{statistics.median(row[way] for row in rows):.3g}" if way in rows[0] else ""
        for way in ("2 workers", "0 workers", "float32", "bfloat16")
    ]
    ratios = [f"{_ratio(rows, '0 workers', way):.2f}" if way in rows[0] else "" for way in ("float32", "bfloat16")]
    return seconds + ratios


def _ratio(rows: list[Times], slow: str, fast: str) -> float:
    return statistics.median(row[slow] / row[fast] for row in rows)


class Side:
    """Processes that measure on request: what one side does to its processes does not help the other."""

    def __init__(self, serve: Callable[[Connection, str], None], device: str, workers: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections, self._processes = [], []
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, device))
            process.start()
            self._connections.append(ours)
            self._processes.append(process)

    def __call__(self, what: str, *arguments: Any, alone: bool = False) -> float:
        """What all processes measure, at the same time, by their number; of the first `alone` if asked."""
        asked = self._connections[:1] if alone else self._connections
        for connection in asked:
            connection.send((what, arguments))
        return statistics.fmean([connection.recv() for connection in asked]) / len(asked)

    def close(self) -> None:
        for connection, process in zip(self._connections, self._processes, strict=True):
            connection.send(None)
            process.join()


def _serve(connection: Connection, measures: dict[str, Callable[..., float]]) -> None:
    while (request := connection.recv()) is not None:
        what, arguments = request
        connection.send(measures[what](*arguments))


def made_up_pixels(count: int, seed: int) -> Pixels:
    """Images of CIFAR-10's shape, by chance."""
    random = np.random.default_rng(seed)
    return Pixels(random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), random.integers(0, 10, count).tolist())


# The reference


def _reference(connection: Connection, device_name: str) -> None:
    device = torch.device(device_name)
    _serve(
        connection,
        {
            "trial": lambda case, workers: _seconds(lambda: _train_as_usual(case, workers, device), device),
            "images": lambda count, workers: _read_images(count, workers) * 1000 / count,
        },
    )


def _train_as_usual(case: Case, workers: int, device: torch.device) -> None:
    model = case.trial().model.build((3, 32, 32), 10).to(device)
    train(model, case.recipe(), made_up_pixels(case.train, 0), made_up_pixels(case.validation, 1), workers, device)


def _read_images(count: int, workers: int) -> float:
    """Seconds for an epoch of augmented batches, without training; starting the workers is left out."""
    loader = CASES[1].recipe().loader(made_up_pixels(count, 0), training=True, workers=workers)
    if workers:
        for _ in loader:
            pass
    began = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - began


# Ours


def _ours(connection: Connection, device_name: str) -> None:
    device = torch.device(device_name)
    configure_torch(device)
    _serve(
        connection,
        {
            "trial": lambda case, precision: _trial(case, precision, device),
            "images": lambda count: _gather_images(count, device) * 1000 / count,
            "overhead": lambda case, rounds: _loop_over_bare(case, rounds, device),
        },
    )


def made_up_splits(train: int, validation: int, device: torch.device) -> Splits:
    """So many of them on the device."""

    def images(count: int, seed: int) -> Images:
        pixels = made_up_pixels(count, seed)
        inputs = torch.from_numpy(pixels.images).permute(0, 3, 1, 2).contiguous()
        return Images(inputs, torch.tensor(pixels.labels)).to(device)

    mean, std = torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)
    return Splits(images(train, 0), images(validation, 1), None, 10, mean, std)


def _trial(case: Case, precision: str, device: torch.device) -> float:
    splits, trial = made_up_splits(case.train, case.validation, device), case.trial(precision)
    return _seconds(lambda: fit(trial, 0, splits, lambda evaluation, checkpoint: Decision.CONTINUE), device)


def _gather_images(count: int, device: torch.device) -> float:
    splits = made_up_splits(count, 1, device)
    batches = Batches(splits.train, CASES[1].batch_size, 0, Augment(crop=4, flip=True), Normalize.of(splits))
    batches.at(0)

    def epoch() -> None:
        for step in range(batches.per_epoch, 2 * batches.per_epoch):
            batches.at(step)

    return _seconds(epoch, device)


def _loop_over_bare(case: Case, rounds: int, device: torch.device) -> float:
    """Time of the loop's steps by that of forward, backward and update on one resident batch, in turns."""
    splits = made_up_splits(case.train, 1, device)
    run = Run(case.trial(), 0, splits)
    batch = Batches(splits.train, case.batch_size, 0, Augment(), Normalize.of(splits)).at(0)
    convolves = case.model["kind"] != "mlp"
    inputs = batch.inputs.contiguous(memory_format=torch.channels_last if convolves else torch.contiguous_format)
    optimizer = torch.optim.SGD(run.model.parameters(), lr=LR, momentum=case.momentum, weight_decay=WEIGHT_DECAY)

    def bare() -> None:
        for _ in range(STEPS_AT_ONCE):
            optimizer.zero_grad()
            functional.cross_entropy(run.model(inputs), batch.labels).backward()
            optimizer.step()

    def ours() -> None:
        for _ in range(STEPS_AT_ONCE):
            run.step()

    turns = min(rounds * 10, run.clock.total_steps // STEPS_AT_ONCE)
    run.step()  # the first one makes what the others use
    bare()
    pairs = [(_seconds(ours, device), _seconds(bare, device)) for _ in range(turns)]
    return statistics.median(loop for loop, _ in pairs) / statistics.median(step for _, step in pairs)


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
