"""A program that appends its reports to a file, some of them twice, and goes on from a file of its own."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

from tests.faults import habits

values = json.loads(Path(os.environ["HPO_VALUES"]).read_text())
habits.take_up(values["habit"])
state = Path(os.environ["HPO_DIR"]) / "state"
random.seed(int(os.environ["HPO_SEED"]))
first, place = 1, 1.0
if state.exists():
    first, place, (version, numbers, gauss) = json.loads(state.read_text())
    random.setstate((version, tuple(numbers), gauss))
with open(os.environ["HPO_REPORTS"], "a") as reports:
    for unit in range(first, int(sys.argv[1]) + 1):
        habits.work()
        place *= 1 - values["lr"] * random.random()
        line = json.dumps({"at": unit, "validation_loss": place}) + "\n"
        reports.write(line * (2 if habits.by_chance() else 1))
        reports.flush()
        fresh = state.with_suffix(".new")
        fresh.write_text(json.dumps([unit + 1, place, random.getstate()]))
        fresh.replace(state)
