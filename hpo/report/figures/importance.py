"""Which of the searched paths mattered."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from hpo.metric import Metric
from hpo.report.figures.values import Axis, Figure, Panel, Series, beside, shortened
from hpo.storage.rows import Cell
from hpo.storage.states import SEARCH
from hpo.study import StudySpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST_TRIALS = 10
"""Trials that an arm needs for importances."""
MOST_TRIALS = 1000
"""Trials that are looked at: of more, a part is looked at."""
BEST_SHARE = 0.25
"""Importances tell this share of the trials, the best, from all of them."""
HALVES = 20
SPREAD = 0.8
"""The middle share of the halves' importances that is shown."""


@dataclass(frozen=True, slots=True)
class Importance:
    """The share of a path; `low` to `high` is what halves of the trials give."""

    share: float
    low: float
    high: float


def all_importances(study: StudySpec, cells: Sequence[Cell]) -> dict[str, dict[str, Importance]]:
    """Arm -> path -> its importance, of the arms that have enough trials to tell."""
    by_arm = {arm: arm_importances(study, arm, cells) for arm in study.arms}
    return {arm: found for arm, found in by_arm.items() if found}


def importances(study: StudySpec, by_arm: Mapping[str, Mapping[str, Importance]]) -> Figure | None:
    """How much each searched path matters for being among the best, by PED-ANOVA."""
    paths = list(dict.fromkeys(path for found in by_arm.values() for path in found))
    if not paths:
        return None
    places = {arm: place for place, arm in enumerate(by_arm)}
    ticks = tuple((-float(n), tail) for n, tail in enumerate(tails(paths)))
    return Figure(
        id="importances",
        title="What mattered in the search",
        caption=f"Share of each searched path in telling the best {100 * BEST_SHARE:g} % of an arm's search trials "
        "from all of them (PED-ANOVA, Watanabe et al. 2023), without those that were pruned, for arms with at least "
        f"{FEWEST_TRIALS} others. Lines: the middle {100 * SPREAD:g} % of what {HALVES} random halves of the trials "
        "give, which vary about as much as the share would from one search to the next (delete-half jackknife, Shao "
        "and Wu 1989). Optuna's get_param_importances looks at the best 10 % unless told otherwise, so it gives other "
        "shares. From few trials it is a hint, not a result.",
        arms=tuple(study.arms),
        panels=(
            Panel("", Axis("importance, %", limits=(0.0, 100.0)), Axis(ticks=ticks, limits=(0.5 - len(paths), 0.5))),
        ),
        series=tuple(
            Series(
                arm,
                0,
                "intervals",
                x=tuple(100 * one.share for one in found.values()),
                y=tuple(-paths.index(path) - beside(places[arm], len(places)) for path in found),
                low=tuple(100 * one.low for one in found.values()),
                high=tuple(100 * one.high for one in found.values()),
            )
            for arm, found in by_arm.items()
        ),
    )


def tails(paths: Sequence[str]) -> list[str]:
    """The last two parts of each path, or as many as tell it from the others."""

    def tail(path: str) -> str:
        parts = path.split(".")
        ends = (".".join(parts[-length:]) for length in range(2, len(parts) + 1))
        return next((end for end in ends if sum(f".{other}".endswith(f".{end}") for other in paths) == 1), path)

    return [shortened(tail(path), 24) for path in paths]


def arm_importances(study: StudySpec, arm: str, cells: Sequence[Cell]) -> dict[str, Importance]:
    """The importance of each path that an arm searched, the largest first; empty if there is too little to tell."""
    known = study.arms[arm].parameters
    distributions = {name: parameter.searched.distribution() for name, parameter in known.items()}
    ended = [cell for cell in cells if cell.arm == arm and cell.phase == SEARCH and cell.params]
    own = [cell for cell in ended if cell.ended in ("finished", "diverged")]
    own = own[:: -(-len(own) // MOST_TRIALS) or 1]
    if len(own) < FEWEST_TRIALS or len(distributions) < 2:
        return {}
    shares = _shares(study.objective, own, distributions)
    chance = Random(0)
    halves = [_shares(study.objective, chance.sample(own, len(own) // 2), distributions) for _ in range(HALVES)]
    found = {}
    for path, share in shares.items():
        # What is searched under a choice may be in none of a half's trials.
        values = sorted(half.get(path, 0.0) for half in halves if half)
        beyond = round((1 - SPREAD) / 2 * len(values))
        middle = [share, *values[beyond : len(values) - beyond]]
        found[path] = Importance(share, min(middle), max(middle))
    return found


def _shares(metric: Metric, cells: Sequence[Cell], distributions: Mapping[str, BaseDistribution]) -> dict[str, float]:
    """The importances as Optuna computes them; empty if the trials are all equally good."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials = optuna.create_study(direction=metric.goal)
    trials.add_trials(
        [
            optuna.trial.create_trial(
                value=metric.last if cell.score is None else cell.score,
                params=dict(cell.params or {}),
                distributions={name: distributions[name] for name in cell.params or {}},
            )
            for cell in cells
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental, or that all trials are equally good
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
        unscaled = evaluator.evaluate(trials)
    total = sum(unscaled.values())
    return {path: share / total for path, share in unscaled.items()} if total > 0 else {}
