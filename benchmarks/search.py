"""How soon does each way to search reach the accuracy of a full grid's best, at equal epochs?

    python -m benchmarks.search            # QUICK=1: fewer repetitions

Replays the curves of `benchmarks.curves` with Optuna's samplers and pruners, built as a study builds them. The grid and
the spaces are those of studies/adaptive_vs_grid.toml, as far as the table has them; `flagship` is that study's own
sampler and pruner. The grid's best is the highest validation accuracy after the last epoch that its 48 trials reach,
with the same training seed. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import optuna

from benchmarks.curves import Curve, Table, load, nearest
from benchmarks.curves.replay import PEAK, SCHEDULE, STRENGTH, Search, Space, best, curve_at, replay
from hpo.search import Grid, Hyperband, Median, NoPruner, Pruner, Random, Sampler, Tpe
from hpo.search.parameters import grid
from hpo.search.space import Params, Range, Values
from hpo.seeds import derive
from hpo.study.file import load as load_study

FLAGSHIP = Path(__file__).parents[1] / "studies" / "adaptive_vs_grid.toml"
SCHEDULES = Values(values=("constant", "cosine", "exponential", "stages"))
GRID: Space = {
    SCHEDULE: SCHEDULES,
    PEAK: Values(values=(0.01, 0.03, 0.1)),
    STRENGTH: Values(values=(0.0, 1e-4, 1e-3, 1e-2)),
}
SPACE: Space = {
    SCHEDULE: SCHEDULES,
    PEAK: Range(low=0.005, high=0.2, log=True),
    STRENGTH: Range(low=1e-5, high=3e-2, log=True),
}
ARMS = {"fixed": "hold", "down": "down", "up": "up", "follows_lr": "follows_lr", "feedback": "accuracy_gap"}
"""Arms of that study, and the policy with which each searches the space. What moves a policy isn't searched here."""
TRAINING_SEEDS = [1]
"""Of the recorded trials. Those of seed 0 have served to choose settings, so their results would flatter."""
WORKERS = (1, 8)


@dataclass(frozen=True, slots=True)
class Repetition:
    """What one replayed search did."""

    share: float
    """Epochs until the grid's best was reached, as a share of the grid's; infinite if that never happened."""
    quarter: float
    """Regret at a quarter of the grid's epochs: the best of the arm's space less the best found, in points."""
    full: float
    """Regret when all epochs are spent, in points."""


@dataclass(frozen=True, slots=True)
class Row:
    """Many repetitions: median and quartiles of the share, how many reached the grid's best, median regrets."""

    median: float
    low: float
    high: float
    reached: float
    quarter: float
    full: float


def methods() -> dict[str, Search]:
    """The ways to search that are compared with the grid."""
    study = load_study(FLAGSHIP)
    arm = next(name for name, arm in study.arms.items() if not isinstance(arm.sampler, Grid))
    ways: dict[str, tuple[Sampler, Pruner]] = {
        "random": (Random(), NoPruner()),
        "tpe": (Tpe(), NoPruner()),
        "tpe_median": (Tpe(), Median(warmup=4, every=4)),
        "tpe_late_median": (Tpe(), Median(warmup=8, every=4)),
        "tpe_hyperband": (Tpe(), Hyperband()),
        "hyperband": (Random(), Hyperband()),
        "flagship": (study.arms[arm].sampler, study.arm(arm).pruner),
    }
    return {"grid": Search(GRID, Grid(), NoPruner())} | {way: Search(SPACE, *how) for way, how in ways.items()}


@cache
def the_table() -> Table:
    """The recorded curves, read once."""
    return load()


def recorded(training_seed: int, policy: str) -> Callable[[Params], Curve]:
    """The trial that was recorded with that seed and policy, for any point of a space."""
    return partial(curve_at, the_table(), training_seed, policy)


@cache
def space_scores(policy: str, training_seed: int) -> tuple[float, ...]:
    """The accuracies of all points of the table that lie in the searched space."""
    table, curve = the_table(), recorded(training_seed, policy)
    choices = [SCHEDULES.labels()]
    for path, values in {PEAK: table.peaks, STRENGTH: table.strengths}.items():
        searched = SPACE[path]
        assert isinstance(searched, Range)
        choices.append(list(values[nearest(values, searched.low) : nearest(values, searched.high) + 1]))
    return tuple(curve(dict(zip(SPACE, point, strict=True))).score for point in product(*choices))


@cache
def grid_best(training_seed: int) -> float:
    """The accuracy of the grid's best trial."""
    curve = recorded(training_seed, "hold")
    return max(curve(point).score for point in grid(GRID))


def repeat(arm: str, search: Search, workers: int, seed: int, training_seed: int) -> Repetition:
    """One search with the grid's epochs, beside the grid."""
    epochs, target = the_table().epochs_per_trial, grid_best(training_seed)
    budget = epochs * len(list(grid(GRID)))
    curve = recorded(training_seed, "hold" if isinstance(search.sampler, Grid) else ARMS[arm])
    found = replay(search, curve, epochs, budget, seed=derive(seed, arm), workers=workers)
    reached = next((one.spent for one in found if (one.accuracy or 0.0) >= target), math.inf)
    highest = max(space_scores(ARMS[arm], training_seed))
    quarter, full = (100 * (highest - best(found, spent)) for spent in (budget / 4, budget))
    return Repetition(reached / budget, quarter, full)


def measure(
    search: Search, workers: int, repetitions: int, training_seeds: Sequence[int]
) -> dict[str, list[Repetition]]:
    """arm -> its repetitions: one for every seed and training seed, but a grid is the same with every seed."""
    seeds = range(1 if isinstance(search.sampler, Grid) else repetitions)
    return {arm: [repeat(arm, search, workers, *pair) for pair in product(seeds, training_seeds)] for arm in ARMS}


def summary(repetitions: Sequence[Repetition]) -> Row:
    """What is printed of a method."""
    shares = [one.share for one in repetitions]
    low, middle, high = (float(np.quantile(shares, q, method="inverted_cdf")) for q in (0.25, 0.5, 0.75))
    reached = sum(math.isfinite(share) for share in shares) / len(shares)
    quarter, full = (float(np.median([getattr(one, when) for one in repetitions])) for when in ("quarter", "full"))
    return Row(middle, low, high, reached, quarter, full)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Replays searches on recorded curves.")
    default = 2 if os.environ.get("QUICK") == "1" else 20
    parser.add_argument("--repetitions", type=int, default=default, help="per method, arm and training seed")
    parser.add_argument("--training-seeds", type=int, nargs="+", default=TRAINING_SEEDS)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for seed in asked.training_seeds:
        shares = (np.mean(np.array(space_scores(ARMS[arm], seed)) >= grid_best(seed)) for arm in ARMS)
        said = ", ".join(f"{arm} {share:.1%}" for arm, share in zip(ARMS, shares, strict=True))
        print(f"training seed {seed}: points of the space that are as good as the grid's best: {said}")
    result: dict[str, dict[str, float | None]] = {}
    for workers in WORKERS:
        print(f"\n{workers} worker{'s' if workers > 1 else ''}: share of the grid's epochs until its best is reached")
        print(f"{'':16}median   quartiles  reached  regret at 1/4, 1/1   median of {', '.join(ARMS)}")
        shares, done = {}, list[tuple[Search, dict[str, list[Repetition]]]]()
        for method, search in methods().items():
            by_arm = next((same for other, same in done if other == search), None)  # flagship is one of the others
            by_arm = by_arm or measure(search, workers, asked.repetitions, asked.training_seeds)
            done.append((search, by_arm))
            row = summary([one for repetitions in by_arm.values() for one in repetitions])
            arms = " ".join(_text(summary(repetitions).median) for repetitions in by_arm.values())
            print(
                f"{method:16}{_text(row.median)} {_text(row.low)}-{_text(row.high)} {row.reached:>8.0%}"
                f" {row.quarter:>10.2f} {row.full:>8.2f}   {arms}",
                flush=True,
            )
            shares[method] = round(row.median, 3) if math.isfinite(row.median) else None
        result[f"epochs_to_grid_best{'' if workers == 1 else f'_{workers}_workers'}"] = shares
    print(json.dumps(result | {"repetitions": asked.repetitions, "training_seeds": asked.training_seeds}))


def _text(share: float) -> str:
    return f"{share:>6.2f}" if math.isfinite(share) else "   > 1"


if __name__ == "__main__":
    main()
