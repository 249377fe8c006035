"""What a checkpoint costs: making it, and keeping it with an epoch's metrics in Postgres.

    python -m benchmarks.checkpoints

Medians over rounds in which the ways alternate; the last line is one JSON object, times in milliseconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from hpo.service import begin_study
from hpo.storage import create_storage
from hpo.trainers.images.data import Images, Splits
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from hpo.trainers.moving.clock import Score
from tests.integration.helpers import make_study
from tests.postgres import PostgresServer

ROUNDS = 30
MODELS: dict[str, dict[str, Any]] = {
    "mlp 3072-100-100-10": {"kind": "mlp", "hidden": [100, 100]},
    "cnn 32-64-128": {"kind": "cnn"},
    "mlp 3072-1000-10": {"kind": "mlp", "hidden": [1000]},
}


def run_of(model: dict[str, Any]) -> Run:
    """A trial of that model on made-up images, one step done, so that momentum is there."""
    torch.set_num_threads(1)
    dice = torch.Generator().manual_seed(0)
    inputs = torch.randint(256, (256, 3, 32, 32), generator=dice, dtype=torch.uint8)
    images = Images(inputs, torch.arange(256) % 10)
    splits = Splits(images, images, None, 10, torch.full((3,), 0.5), torch.full((3,), 0.25))
    table = {
        "epochs": 10,
        "batch_size": 128,
        "data": {"kind": "cifar10"},
        "model": model,
        "optimizer": {"kind": "sgd", "momentum": 0.9},
        "lr": {"kind": "constant", "peak": 0.01},
    }
    run = Run(TrialSpec.model_validate(table), 0, splits)
    run.step()
    return run


def milliseconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    server = PostgresServer().start()
    try:
        server.execute("create database checkpoints")
        storage = create_storage(server.url("checkpoints"))
        begin_study(storage, make_study())
        lease = storage.ledger.claim("benchmark", 3600.0)
        assert lease is not None
        evaluation = Evaluation(1, 2, Score(1.0, 0.5), Score(1.0, 0.5), 0.1, {"l2": 0.1}, {}, 1.0, 100.0).reported()
        result = {}
        for name, model in MODELS.items():
            run = run_of(model)
            content = run.checkpoint()
            made, plain, kept = [], [], []
            for _ in range(ROUNDS):
                made.append(milliseconds(run.checkpoint))
                plain.append(milliseconds(lambda: storage.ledger.record(lease, [evaluation], 3600.0)))
                kept.append(
                    milliseconds(lambda content=content: storage.ledger.record(lease, [evaluation], 3600.0, content))
                )  # type: ignore[misc]
            row = {
                "mib": round(len(content) / 2**20, 2),
                "make_ms": round(median(made), 2),
                "record_ms": round(median(plain), 2),
                "record_with_checkpoint_ms": round(median(kept), 2),
            }
            print(f"{name}: {row}")
            result[name] = row
        print(json.dumps(result))
        storage.close()
    finally:
        server.remove()


if __name__ == "__main__":
    main()
