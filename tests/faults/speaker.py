"""A program that calls `hpo.trial()`, with a habit: its training is a random walk, so an inexact resume is seen."""

from __future__ import annotations

import random
import signal
import sys

import hpo
from tests.faults import habits
from tests.walk import Walk

trial = hpo.trial(length=1, lr=0.1, habit="", scale=1.0)
random.seed(trial.seed)
habits.take_up(trial["habit"])


def train() -> None:
    """The training, from wherever it was left."""
    walk = Walk()
    for unit in trial.loop(keep=[walk]):
        habits.work()
        walk.place *= 1 - trial.moved(unit)["lr"] * random.random()
        if trial["habit"] == "fails" and unit == 2:
            sys.exit(3)
        score = float("nan") if trial["habit"] == "nan" and unit == 4 else walk.place * trial["scale"]
        trial.report(train=score, validation=score * 1.1)
    trial.finish()


try:
    train()
except SystemExit:
    # As a bare `except` does: the program stays although it was told to end, until it is killed.
    if trial["habit"] != "swallows" or not habits.by_chance():
        raise
    while True:
        signal.pause()
