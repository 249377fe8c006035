"""Which of the searched paths mattered."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from hpo.plan import SEARCH
from hpo.report.figures.values import Axis, Figure, Panel, Series, beside, shortened
from hpo.storage.rows import Cell
from hpo.study import StudySpec

FEWEST_TRIALS = 10
"""Of an arm, for importances."""
MOST_TRIALS = 1000
"""Of more, a part is looked at."""
BEST_SHARE = 0.25
"""Importances tell this share of the trials, the best, from all of them."""


def importances(study: StudySpec, cells: Sequence[Cell]) -> Figure | None:
    """How much each searched path matters for being among the best, by PED-ANOVA."""
    by_arm = {arm: _importances(study, arm, cells) for arm in study.arms}
    by_arm = {arm: found for arm, found in by_arm.items() if found}
    paths = list(dict.fromkeys(path for found in by_arm.values() for path in found))
    if not paths:
        return None
    places = {arm: place for place, arm in enumerate(by_arm)}
    return Figure(
        id="importances",
        title="What mattered in the search",
        caption=f"Share of each searched path in telling the best {100 * BEST_SHARE:g} % of an arm's search trials "
        f"from all of them (PED-ANOVA, Watanabe et al. 2023), for arms with at least {FEWEST_TRIALS} trials that were "
        "not pruned. From few trials it is a hint, not a result.",
        arms=tuple(study.arms),
        panels=(
            Panel(
                "",
                Axis("importance, %", limits=(0.0, 100.0)),
                Axis(
                    ticks=tuple((-float(n), tail) for n, tail in enumerate(tails(paths))),
                    limits=(0.5 - len(paths), 0.5),
                ),
            ),
        ),
        series=tuple(
            Series(
                arm,
                0,
                "bars",
                x=tuple(100 * share for share in found.values()),
                y=tuple(-paths.index(path) - beside(places[arm], len(places)) for path in found),
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


def _importances(study: StudySpec, arm: str, cells: Sequence[Cell]) -> dict[str, float]:
    import optuna

    known = study.arms[arm].parameters
    distributions = {name: parameter.searched.distribution() for name, parameter in known.items()}
    own = [
        cell
        for cell in cells
        if cell.arm == arm and cell.phase == SEARCH and cell.ended in ("finished", "diverged") and cell.params
    ]
    own = own[:: len(own) // MOST_TRIALS + 1]
    if len(own) < FEWEST_TRIALS or len(distributions) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials = optuna.create_study(direction="maximize")
    trials.add_trials(
        [
            optuna.trial.create_trial(
                value=cell.score or 0.0,
                params=dict(cell.params or {}),
                distributions={name: distributions[name] for name in cell.params or {}},
            )
            for cell in own
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental, or that all trials are equally good
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
        found = optuna.importance.get_param_importances(trials, evaluator=evaluator)
    return found if sum(found.values()) > 0 else {}
