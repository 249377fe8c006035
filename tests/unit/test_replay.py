"""Replayed searches on recorded trials: what they spend, and that they are the same twice."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.curves.points import recorded
from benchmarks.curves.replay import Ended, replay
from benchmarks.curves.replay import Search as Way
from benchmarks.curves.tasks import CHOOSING, Task, tasks
from benchmarks.search import TRIALS, WAYS, Searched, best_so_far, epochs_share, rows, search

BUDGET = 240


@pytest.fixture(scope="module")
def digits() -> Task:
    return next(task for task in tasks() if task.name == "digits")


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("way", ["tpe", "tpe, median from 4", "random, halving by 4"])
def test_the_budget_is_spent(digits: Task, way: str, workers: int) -> None:
    """Never more, and what is left is less than a trial; pruning makes room for more trials; twice is the same."""
    how, curve, epochs = Way(digits.space, *WAYS[way]), digits.curves[1], digits.epochs
    ended, again = (replay(how, curve, epochs, BUDGET, seed=3, workers=workers) for _ in range(2))
    assert again == ended
    assert BUDGET - epochs < sum(one.epochs for one in ended) == ended[-1].spent <= BUDGET
    assert (len(ended) > BUDGET // epochs) == (way != "tpe")
    assert all(
        (one.score is None) == (one.epochs < epochs) for one in ended if not digits.curves[1](one.params).diverged
    )


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_regret_falls(task: Task) -> None:
    """More epochs never make the best found worse, and nothing is better than the best of the table."""
    found = search(task, WAYS["random"], 1, 0, min(task.curves))
    assert len(found.regret) == TRIALS * task.epochs
    assert np.isinf(found.regret[: task.epochs - 1]).all()
    assert (np.diff(found.regret[task.epochs :]) <= 0).all()
    assert found.regret[-1] >= 0
    assert found.fresh <= max(best for seed, best in task.best.items() if seed != min(task.curves))


def test_tasks_are_held_out() -> None:
    """Some serve to choose settings, others to say what these are worth."""
    names = {task.name for task in tasks()}
    assert "digits" in names & set(CHOOSING)
    assert names - set(CHOOSING)


def test_best_so_far() -> None:
    """By hand: a pruned trial counts for nothing, a worse one does not lower it."""
    ended = [Ended({}, 2, 2, 0.5), Ended({}, 1, 3, None), Ended({}, 2, 5, 0.4), Ended({}, 1, 6, 0.9)]
    assert best_so_far(ended, 7).tolist() == [-math.inf, 0.5, 0.5, 0.5, 0.5, 0.9, 0.9]


def test_epochs_to_a_goal() -> None:
    """The median of three searches is at 2 after three of four epochs, and never at 0."""
    regrets = np.array([[9.0, 3, 2, 1], [9, 9, 9, 9], [5, 4, 1, 0]])
    assert epochs_share(regrets, 2.0) == 0.75
    assert math.isinf(epochs_share(regrets, 0.0))


def test_rows_by_hand() -> None:
    """Ranks share places; what is fresh is less random search's."""
    by_way = {
        "random": [Searched(np.array([4.0, 2.0]), 0.5), Searched(np.array([4.0, 2.0]), 0.7)],
        "better": [Searched(np.array([2.0, 1.0]), 0.6), Searched(np.array([2.0, 2.0]), 0.9)],
    }
    random, better = rows(by_way).values()
    assert (random.share, better.share) == (1.0, 0.5)
    assert (random.rank, better.rank) == (1.75, 1.25)
    assert (random.fresh, better.fresh) == (0.0, pytest.approx(0.15))
    assert (random.regret, better.regret) == (2.0, 1.5)


FILE = """
name = "two"
[trial]
program = "python train.py"
length = { epochs = 2 }
metric = { name = "loss" }
values.lr = 0.1
values.net = "a"
[protocol]
budget = { trials = 3 }
[arms.all]
sampler = { kind = "qmc" }
search."values.lr" = { low = 1e-4, high = 1.0, log = true }
search."values.net" = { values = ["a", "b"] }
"""
TRIALS_CSV = """arm,search,cell,values.lr,values.net,ended
all,1,1,0.001,a,finished
all,1,2,0.1,a,diverged
all,1,3,0.02,b,finished
"""
CURVES_CSV = """cell,validation_loss
1,3.0
1,2.0
2,
3,1.0
3,0.5
"""


def test_the_nearest_trial_of_a_study(tmp_path: Path) -> None:
    """By the logarithm of a rate, never with another label; a loss has its sign turned; what diverged is the worst."""
    file = tmp_path / "two.toml"
    file.write_text(FILE)
    for what, text in {"trials": TRIALS_CSV, "curves": CURVES_CSV}.items():
        with gzip.open(tmp_path / f"two-{what}.csv.gz", "wt") as written:
            written.write(text)
    table = recorded(file, "all", 1)
    assert table.epochs == 2
    assert table.curve({"values.lr": 0.009, "values.net": "a"}).validation.tolist() == [-3.0, -2.0]
    assert table.curve({"values.lr": 0.011, "values.net": "a"}).score == -math.inf
    assert table.curve({"values.lr": 1e-4, "values.net": "b"}).score == -0.5
