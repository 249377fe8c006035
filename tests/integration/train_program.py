"""A training script of somebody's own, with the standard library alone: it does what its values ask for.

Its "training" is a random walk of the standard library's generator, so that a resume that is not exact is seen.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import hpo
from tests.walk import Walk


class Optimizer:
    """What `drive` needs of one: two groups, of which one has no decay."""

    def __init__(self, lr: float, decay: float) -> None:
        self.param_groups = [{"lr": lr, "weight_decay": decay}, {"lr": lr / 10, "weight_decay": 0.0}]


trial = hpo.trial(length=6, lr=0.1, weight_decay=0.01, mode="", folder=".", width=1, fails_in=0)
random.seed(trial.seed)
walk, folder, mode = Walk(), Path(trial["folder"]), trial["mode"]
optimizer = Optimizer(trial["lr"], trial["weight_decay"])
(folder / "environment.json").write_text(json.dumps(sorted(os.environ)))
with (folder / "started").open("a") as started:
    started.write(f"{os.getpid()}\n")
if mode in ("child", "session"):
    child = subprocess.Popen(["sleep", "600"], start_new_session=mode == "session")
    (folder / "child").write_text(str(child.pid))
for unit in trial.loop(keep=[walk]):
    if mode == "raises" and unit == 2:
        raise ValueError("the walk has left the map")
    if mode == "exits" and unit == 2:
        sys.exit(0)
    if mode == "too large" and trial["width"] > 5 and unit == trial["fails_in"]:
        raise MemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    while mode == "waits" and unit == 3 and not (folder / "go").exists():
        time.sleep(0.02)
    if mode == "hangs" and unit == 1:
        time.sleep(3600)
    for step in range(4):
        if mode != "undriven":
            trial.drive(optimizer, at=unit + step / 4)
        first, second = optimizer.param_groups
        walk.place += first["lr"] * (random.random() - 0.5) - second["weight_decay"]
    if mode == "diverges" and unit == 2:
        walk.place = float("nan")
    if mode == "explodes" and unit == 2:
        walk.place = 1e200
    more = {f"number {each}": 1.0 for each in range(295)} if mode == "floods" else {}
    trial.state["units"] = trial.state.get("units", 0) + 1
    score = abs(walk.place) * (10.0 if trial["width"] > 5 else 1.0)
    trial.report(
        train={"loss": score, "accuracy": 0.9},
        validation={"loss": score * 1.1, "accuracy": 0.5},
        decay=optimizer.param_groups[0]["weight_decay"],
        units=trial.state["units"],
        **more,
    )
trial.finish(test=lambda: walk.place)
(folder / "after").touch()
