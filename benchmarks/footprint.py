"""What a worker on CIFAR-10 takes of memory, and how long its trials take to start.

So many processes at once do what a worker does before it trains: read the images, split them, and make the net and the
first minibatch of a trial with random crops and mirrored images; then a second trial's. Memory is what the kernel says
in /proc/self/smaps_rollup: RSS counts pages that processes share in each of them, PSS a part of them in each. CIFAR-10
must lie in `HPO_DATA_DIR/cifar10` as a folder of images, and is decoded into `HPO_CACHE_DIR` first.

Run as `python -m benchmarks.footprint`; the last line of the output is one JSON object, of means over the processes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from hpo.trainers.images.data import cache
from hpo.trainers.images.device import configure_torch
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec

TRIAL: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 128,
    "data": {"kind": "image_folder", "folder": "cifar10", "classes": 10, "validation": 5000},
    "augment": {"crop": 4, "flip": True},
    "model": {"kind": "cnn", "channels": [32, 64, 128]},
    "optimizer": {"kind": "sgd", "momentum": 0.9},
    "lr": {"kind": "cosine", "peak": 0.05},
}
MEGABYTE = 1e6


def main() -> None:
    """Measure, and say so."""
    parser = argparse.ArgumentParser(description="Memory of workers on CIFAR-10, and how long trials take to start.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    cache.load(TrialSpec.model_validate(TRIAL).data)
    rounds = [_together(asked.workers) for _ in range(asked.rounds)]
    best = {name: round(min(found[name] for found in rounds), 2) for name in rounds[0]}
    print(f"{asked.workers} processes at once, the least of {asked.rounds} rounds")
    for name, value in best.items():
        print(f"{name:32} {value:10,.2f}")
    print(json.dumps(best))


def _together(workers: int) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=_worker, args=(barrier, queue.put)) for _ in range(workers)]
    for process in processes:
        process.start()
    found = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return {name: fmean(one[name] for one in found) for name in found[0]}


def _worker(barrier: Barrier, tell: Callable[[dict[str, float]], None]) -> None:
    device = torch.device("cpu")
    configure_torch(device)
    found = {f"{name} before, MB": size for name, size in _memory().items()}
    trial = TrialSpec.model_validate(TRIAL)
    barrier.wait()
    found["data, s"] = _seconds(lambda: cache.load(trial.data, "study"))
    found["splits, s"] = _seconds(lambda: cache.splits(trial.data, True, device, "study"))
    for name, seed in (("first", 0), ("second", 1)):
        found[f"{name} trial to its first step, s"] = _seconds(lambda seed=seed: _begun(trial, seed))
    barrier.wait()
    found |= {f"{name}, MB": size for name, size in _memory().items()}
    barrier.wait()  # none ends before all have looked
    tell(found)


def _begun(trial: TrialSpec, seed: int) -> None:
    run = Run(trial, seed, cache.splits(trial.data, True, torch.device("cpu"), "study"))
    run._batches.at(0)


def _memory() -> dict[str, float]:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 / MEGABYTE for line in lines}
    return {"RSS": sizes["Rss"], "PSS": sizes["Pss"]}


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
