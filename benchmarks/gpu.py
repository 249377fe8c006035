"""How a GPU trains: recorded steps beside launched ones, 16 bits, several workers, determinism, a DataLoader.

Four nets on made-up images of CIFAR-10's shape. A variant is timed in a process of its own, which says for each net the
milliseconds of a step, the share of them in which the GPU computes, and whether the same seed gives the same weights.
Without a GPU it says so, measures nothing and ends with 0.

Run as `python -m benchmarks.gpu`; the last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from benchmarks.reference import train
from benchmarks.training import CASES, Case, made_up_pixels, made_up_splits
from hpo.trainers.images import recorded_step
from hpo.trainers.images.device import DETERMINISTIC, choose_device, configure_torch, describe_device
from hpo.trainers.images.run import Run

VARIANTS = {
    "recorded": {},
    "launched": {"recorded": False},
    "recorded, bf16": {"precision": "bfloat16"},
    "launched, bf16": {"precision": "bfloat16", "recorded": False},
    "recorded, deterministic": {"deterministic": True},
    "launched, deterministic": {"deterministic": True, "recorded": False},
}
WARM, STEPS, ROUNDS = 20, 100, 5
"""Steps before anything is timed, steps timed together, and how often; said is the median."""
WORKERS = (1, 2, 4, 8)
WORKED_SECONDS = 3.0
IMAGES = 12_800


def main() -> None:
    """Measure, and say so."""
    parser = argparse.ArgumentParser(description="Times training on a GPU.")
    parser.add_argument("--variant", choices=VARIANTS, help="this one alone, in this process")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well, which takes minutes")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU that torch can use: nothing was measured")
        return
    if asked.variant:
        print(json.dumps(_measured(**VARIANTS[asked.variant])))
        return
    found: dict[str, Any] = {"device": describe_device(torch.device("cuda")), "torch": torch.__version__}
    for name in VARIANTS:
        command = [sys.executable, "-m", "benchmarks.gpu", "--variant", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found[name] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else _why(done.stderr)
    found["DataLoader, ms a step"] = {case.name: _with_a_loader(case) for case in CASES}
    for recorded in (True, False):
        name = f"{'recorded' if recorded else 'launched'}, steps a second by workers"
        found[name] = {case.name: {n: _together(case, n, recorded) for n in WORKERS} for case in CASES[:3]}
    if asked.compile:
        found["compiled"] = {case.name: _compiled(case) for case in (CASES[0], CASES[2])}
    _print(found)
    print(json.dumps(found))


def _print(found: dict[str, Any]) -> None:
    table = Table("ms a step (GPU busy, repeats exactly)", *(case.name for case in CASES))
    for name in VARIANTS:
        row = found[name]
        if isinstance(row, str):
            table.add_row(name, row)
            continue
        cells = [row[case.name] for case in CASES]
        table.add_row(name, *(f"{c['ms']:.3f} ({c['busy']:.0%}, {'yes' if c['repeats'] else 'no'})" for c in cells))
    loader = found["DataLoader, ms a step"]
    table.add_row("DataLoader", *(f"{loader[case.name]:.3f}" for case in CASES))
    Console(width=140).print(f"{found['device']}, torch {found['torch']}", table)


def _why(said: str) -> str:
    return said.strip().splitlines()[-1][:200] if said.strip() else "it ended without a word"


def _measured(precision: str = "float32", recorded: bool = True, deterministic: bool = False) -> dict[str, Any]:
    os.environ[DETERMINISTIC] = str(int(deterministic))
    os.environ[recorded_step.VARIABLE] = str(int(recorded))
    configure_torch(choose_device("cuda"))
    found = {}
    for case in CASES:
        run = _run(case, precision)
        _steps(run, WARM)
        seconds = [_timed(run, STEPS) for _ in range(ROUNDS)]
        busy, kernels = _busy(run)
        ms = 1000 * statistics.median(seconds) / STEPS
        found[case.name] = {
            "ms": round(ms, 4),
            "spread": round(1000 * (max(seconds) - min(seconds)) / STEPS, 4),
            "busy": round(min(busy / ms, 1.0), 3),
            "kernels": kernels,
            "repeats": _weights(case, precision) == _weights(case, precision),
        }
    return found


def _run(case: Case, precision: str = "float32", **more: Any) -> Run:
    trial = replace(case, epochs=1000).trial(precision)
    return Run(trial.model_copy(update=more), 0, made_up_splits(IMAGES, 1000, torch.device("cuda")))


def _steps(run: Run, number: int) -> None:
    for _ in range(number):
        run.step()
    torch.cuda.synchronize()


def _timed(run: Run, number: int) -> float:
    began = time.perf_counter()
    _steps(run, number)
    return time.perf_counter() - began


def _busy(run: Run) -> tuple[float, float]:
    """Milliseconds of a step in which the GPU computes, and kernels of a step."""
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        _steps(run, 20)
    kernels = [event for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return sum(event.device_time for event in kernels) / 1000 / 20, len(kernels) / 20


def _weights(case: Case, precision: str) -> str:
    run = _run(case, precision)
    _steps(run, 3 * WARM)
    content = b"".join(tensor.cpu().numpy().tobytes() for tensor in run.model.state_dict().values())
    return hashlib.sha256(content).hexdigest()


def _with_a_loader(case: Case) -> float:
    """Milliseconds of a step of the reference, with as many loading processes as there are cores, 8 at most."""
    device = torch.device("cuda")
    model = case.trial().model.build((3, 32, 32), 10).to(device)
    training, held_out = made_up_pixels(IMAGES, 0), made_up_pixels(100, 1)
    recipe = replace(case, epochs=1).recipe()
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        train(model, recipe, training, held_out, min(os.cpu_count() or 1, 8), device)
        seconds.append(time.perf_counter() - began)
    return round(1000 * min(seconds) / (IMAGES // case.batch_size), 4)


def _together(case: Case, workers: int, recorded: bool) -> int:
    """Steps a second of so many workers on one GPU, all together."""
    context = multiprocessing.get_context("spawn")
    barrier, steps = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=_work, args=(case, recorded, barrier, steps)) for _ in range(workers)]
    for process in processes:
        process.start()
    rates = [steps.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    return round(sum(rates))


def _work(case: Case, recorded: bool, barrier: Barrier, steps: Any) -> None:
    configure_torch(choose_device("cuda"))
    os.environ[recorded_step.VARIABLE] = str(int(recorded))
    run = _run(case)
    _steps(run, WARM)
    barrier.wait(timeout=100)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < WORKED_SECONDS:
        _steps(run, 50)
        done += 50
    steps.put(done / (time.perf_counter() - began))


def _compiled(case: Case) -> dict[str, float]:
    began = time.perf_counter()
    run = _run(case, compile=True)
    _steps(run, 2)
    first = time.perf_counter() - began
    _steps(run, WARM)
    ms = 1000 * statistics.median(_timed(run, STEPS) for _ in range(ROUNDS)) / STEPS
    return {"first two steps, seconds": round(first, 1), "ms": round(ms, 4)}


if __name__ == "__main__":
    main()
