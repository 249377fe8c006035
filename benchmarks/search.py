"""Which way to search finds what random search finds, in fewer epochs?

    python -m benchmarks.search            # QUICK=1: fewer repetitions; --gp: the Gaussian process as well (an hour)

Replays searches on recorded trials (`benchmarks.curves.tasks`) with Optuna's samplers and pruners, built as a study
builds them. Every search may spend the epochs of 48 trials. Of each task and way:

    epochs     until its median regret is as low as random search's is at the end, as a share of all epochs, with a
               95 % interval (bootstrap over searches); `> 1` if that never happens
    regret     at the end: what the best found lacks to the best of the table, in the task's own unit, mean ± 95 %
    fresh      what the configuration that it chose scores under another training seed, less what random search's does

and over all tasks the mean rank by regret. Settings may be chosen on the tasks of CHOOSING; the last line, one JSON
object, is about the others.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median

import numpy as np
import optuna

from benchmarks.curves import Floats
from benchmarks.curves.replay import Ended, Search, best, replay
from benchmarks.curves.tasks import CHOOSING, Task, tasks
from hpo.search import (
    Gp,
    Hyperband,
    Median,
    NoPruner,
    Patient,
    Percentile,
    Pruner,
    Qmc,
    Random,
    Sampler,
    SuccessiveHalving,
    Tpe,
)
from hpo.seeds import derive

TRIALS = 48
"""Trials whose epochs a search may spend."""
WORKERS = (1, 8)
BASELINE, DEFAULT = "random", "tpe"
"""What all is compared with, and what a study file gets that says no more than `tpe`."""
RESAMPLED = 1000

WAYS: dict[str, tuple[Sampler, Pruner]] = {
    "random": (Random(), NoPruner()),
    "qmc": (Qmc(), NoPruner()),
    "tpe": (Tpe(), NoPruner()),
    "tpe, each by itself": (Tpe(multivariate=False), NoPruner()),
    "tpe, startup 5": (Tpe(startup=5), NoPruner()),
    "tpe, median from 4": (Tpe(), Median(warmup=4, every=4)),
    "tpe, median from 10": (Tpe(), Median(warmup=10, every=5)),
    "tpe, worst quarter from 8": (Tpe(), Percentile(percentile=75.0, warmup=8, every=4)),
    "tpe, patient median": (Tpe(), Patient(wrapped=Median(warmup=4, every=4), patience=4)),
    "tpe, halving by 2": (Tpe(), SuccessiveHalving(reduction=2)),
    "tpe, halving by 4": (Tpe(), SuccessiveHalving(reduction=4)),
    "tpe, hyperband": (Tpe(), Hyperband()),
    "random, halving by 4": (Random(), SuccessiveHalving(reduction=4)),
}
SLOW_WAYS: dict[str, tuple[Sampler, Pruner]] = {"gp": (Gp(), NoPruner())}


@dataclass(frozen=True, slots=True)
class Searched:
    """What one replayed search did."""

    regret: Floats
    """After each epoch that it might have spent: the task's best less the best found; infinite before the first."""
    fresh: float
    """The mean score of what it chose under the other training seeds."""


@dataclass(frozen=True, slots=True)
class Row:
    """Many searches of one way on one task."""

    share: float
    low: float
    high: float
    regret: float
    regret_margin: float
    fresh: float
    fresh_margin: float
    rank: float


def search(task: Task, way: tuple[Sampler, Pruner], workers: int, seed: int, training_seed: int) -> Searched:
    """One search of the task with so many epochs."""
    how = Search(task.space, *way)
    found = replay(
        how,
        task.curves[training_seed],
        task.epochs,
        TRIALS * task.epochs,
        seed=derive(seed, task.name, training_seed),
        workers=workers,
    )
    chosen = best(found, math.inf)
    others = [curve for other, curve in task.curves.items() if other != training_seed]
    assert chosen is not None and others
    regret = task.best[training_seed] - best_so_far(found, TRIALS * task.epochs)
    return Searched(regret, float(np.mean([curve(chosen.params).score for curve in others])))


def best_so_far(found: Sequence[Ended], budget: int) -> Floats:
    """The highest score after each epoch, from the first on; minus infinity before any trial has come to its end."""
    scores = np.full(budget + 1, -np.inf)
    for one in found:
        if one.score is not None:
            scores[one.spent] = max(scores[one.spent], one.score)
    highest: Floats = np.maximum.accumulate(scores)[1:]
    return highest


def epochs_share(regrets: Floats, goal: float) -> float:
    """The share of all epochs after which the median of the searches has a regret as low as `goal`."""
    reached = np.flatnonzero(np.median(regrets, axis=0) <= goal)
    return float((reached[0] + 1) / regrets.shape[1]) if len(reached) else math.inf


def rows(done: Mapping[str, Sequence[Searched]]) -> dict[str, Row]:
    """What is printed of each way, from its searches of one task."""
    regrets = {way: np.array([one.regret for one in found]) for way, found in done.items()}
    fresh = {way: np.array([one.fresh for one in found]) for way, found in done.items()}
    last = np.array([of_way[:, -1] for of_way in regrets.values()])
    ranks = dict(zip(regrets, _ranks(last).mean(axis=1), strict=True))
    draw = np.random.RandomState(0)
    found = {}
    for way, of_way in regrets.items():
        shares = []
        for _ in range(RESAMPLED):
            # Both are drawn again: random search's regret at the end is measured too.
            mine, theirs = (draw.randint(len(of_way), size=len(of_way)) for _ in range(2))
            shares.append(epochs_share(of_way[mine], float(np.median(regrets[BASELINE][theirs, -1]))))
        low, high = (float(np.quantile(shares, q, method="inverted_cdf")) for q in (0.025, 0.975))
        share = epochs_share(of_way, float(np.median(regrets[BASELINE][:, -1])))
        better = fresh[way] - fresh[BASELINE]
        found[way] = Row(share, low, high, *_mean(of_way[:, -1]), *_mean(better), float(ranks[way]))
    return found


def _mean(values: Floats) -> tuple[float, float]:
    """With the half width of its 95 % interval."""
    return float(values.mean()), float(1.96 * values.std(ddof=1) / math.sqrt(len(values)))


def _ranks(values: Floats) -> Floats:
    """Of each row in its column, from 1 for the lowest; equal ones share the mean of their places."""
    below = (values[None] < values[:, None]).sum(axis=1)
    equal = (values[None] == values[:, None]).sum(axis=1)
    ranks: Floats = below + (equal + 1) / 2
    return ranks


def measure(
    ways: Mapping[str, tuple[Sampler, Pruner]], workers: int, repetitions: int
) -> Iterator[tuple[Task, dict[str, Row]]]:
    """Each task, with a row for each way: so many searches for each of its training seeds, a process for each core."""
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"), initializer=_quiet) as pool:
        for task in tasks():
            pairs = [(seed, training) for seed in range(repetitions) for training in task.curves]
            asked = {
                name: [pool.submit(_search, task.name, way, workers, *pair) for pair in pairs]
                for name, way in ways.items()
            }
            yield task, rows({name: [one.result() for one in each] for name, each in asked.items()})


def _search(name: str, way: tuple[Sampler, Pruner], workers: int, seed: int, training_seed: int) -> Searched:
    """One search of the task of this name, which each process reads once."""
    [task] = [task for task in tasks() if task.name == name]
    return search(task, way, workers, seed, training_seed)


def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Replays searches on recorded trials.")
    default = 3 if os.environ.get("QUICK") == "1" else 25
    parser.add_argument("--repetitions", type=int, default=default, help="searches per way, task and training seed")
    parser.add_argument("--gp", action="store_true", help="the Gaussian process too, which takes a second a proposal")
    asked = parser.parse_args()
    ways = WAYS | (SLOW_WAYS if asked.gp else {})
    result: dict[str, object] = {"repetitions": asked.repetitions, "chosen_on": CHOOSING, "default": DEFAULT}
    for workers in WORKERS:
        held_out: dict[str, float] = {}
        ranks: dict[str, list[float]] = {way: [] for way in ways}
        for task, measured in measure(ways, workers, asked.repetitions):
            print(f"\n{task.name}, {workers} worker{'s' if workers > 1 else ''}", flush=True)
            print(f"{'':26} epochs vs random's         regret      fresh, to random's     rank")
            for way, row in measured.items():
                print(
                    f"{way:26}{_share(row.share)} {_share(row.low)} to {_share(row.high)}"
                    f"{row.regret:>10.3g} ± {row.regret_margin:<8.2g}{row.fresh:>+9.2g} ± {row.fresh_margin:<8.2g}"
                    f"{row.rank:>6.1f}"
                )
                ranks[way].append(row.rank)
            if task.name not in CHOOSING:
                held_out[task.name] = measured[DEFAULT].share
        print(f"\nmean rank over all tasks, {workers} worker{'s' if workers > 1 else ''}")
        for way, of_way in sorted(ranks.items(), key=lambda item: float(np.mean(item[1]))):
            print(f"{way:26}{np.mean(of_way):>6.2f}")
        suffix = "" if workers == 1 else f"_{workers}_workers"
        result |= {
            f"epochs_vs_random{suffix}": _json(median(held_out.values())),
            f"worst_task{suffix}": _json(max(held_out.values())),
            f"held_out{suffix}": {name: _json(share) for name, share in held_out.items()},
        }
    print(json.dumps(result))


def _share(share: float) -> str:
    return f"{share:>6.2f}" if math.isfinite(share) else "   > 1"


def _json(share: float) -> float | None:
    return round(share, 3) if math.isfinite(share) else None


if __name__ == "__main__":
    main()
