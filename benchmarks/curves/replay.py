"""A search replayed on recorded curves: our samplers and pruners decide as they do in a study, and nothing is trained.

The rules are those of a study's search phase: a trial is reported at its pruner's rungs, a diverged one counts as
guessing, the epochs that pruning saves give further trials, and only a trial that ran to its end can be the best.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

import optuna
from optuna.trial import Trial, TrialState

from benchmarks.curves import Curve, Table
from hpo.search import Grid, Pruner, Sampler
from hpo.search.parameters import grid
from hpo.search.space import Params, Range, Values

SCHEDULE, PEAK, STRENGTH = "lr", "lr.peak", "regularizers.l2.strength"
Space = Mapping[str, Range | Values]


@dataclass(frozen=True, slots=True)
class Search:
    """A way to search: an arm's space, sampler and pruner."""

    space: Space
    sampler: Sampler
    pruner: Pruner


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial of a replay, when it ended."""

    params: Params
    epochs: int
    """Epochs that it trained."""
    spent: int
    """Epochs that all trials together had trained by then."""
    score: float | None
    """What it is selected by, as `Curve.score`; None if it was pruned."""


@dataclass(slots=True)
class _Running:
    trial: Trial
    curve: Curve
    pace: float
    """Time that an epoch takes on its worker."""
    epoch: int = 0


def replay(
    search: Search, curve: Callable[[Params], Curve], epochs: int, budget: int, *, seed: int, workers: int = 1
) -> list[Ended]:
    """The trials of `epochs` epochs with which the search spends its `budget` of epochs, in the order of their ends.

    `curve` has the recorded trial for a point. Several workers run at paces that differ by up to a fifth, so that their
    trials do not end at once.
    """
    study = optuna.create_study(
        study_name=f"replay-{seed}", direction="maximize", pruner=search.pruner.build(epochs)
    )  # Hyperband draws a trial's bracket from the study's name
    space = {path: searched.distribution() for path, searched in search.space.items()}
    points = list(grid(search.space)) if isinstance(search.sampler, Grid) else None
    paces, order, ended = Random(seed), count(), list[Ended]()
    running: list[tuple[float, int, _Running]] = []
    now, slot, spent, left = 0.0, 0, 0, budget
    while True:
        if len(running) < workers and left >= epochs and (points is None or slot < len(points)):
            if points is not None:
                study.enqueue_trial(points[slot])
            study.sampler = search.sampler.build(seed, slot, space)
            trial = study.ask(fixed_distributions=dict(space))
            begun = _Running(trial, curve(trial.params), paces.uniform(1.0, 1.2))
            heapq.heappush(running, (now + begun.pace, next(order), begun))
            slot, left = slot + 1, left - epochs
            continue
        if not running:
            return ended
        now, _, run = heapq.heappop(running)
        run.epoch, spent = run.epoch + 1, spent + 1
        state = _report(run, search.pruner, epochs)
        if state is None:
            heapq.heappush(running, (now + run.pace, next(order), run))
            continue
        left += epochs - run.epoch
        score = None if state is TrialState.PRUNED else run.curve.score
        study.tell(run.trial, score, state=state)
        ended.append(Ended(run.trial.params, run.epoch, spent, score))


def _report(run: _Running, pruner: Pruner, epochs: int) -> TrialState | None:
    """Tell Optuna of the epoch that has just been trained; returns how the trial has ended, if it has."""
    if run.curve.diverged and run.epoch == run.curve.epochs:
        for rung in filter(pruner.at_rung, range(run.epoch, epochs + 1)):
            run.trial.report(run.curve.worst, rung)
        return TrialState.COMPLETE
    if pruner.at_rung(run.epoch):
        run.trial.report(float(run.curve.validation[run.epoch - 1]), run.epoch)
        if run.epoch < epochs and run.trial.should_prune():
            return TrialState.PRUNED
    return TrialState.COMPLETE if run.epoch == epochs else None


def curve_at(table: Table, training_seed: int, policy: str, params: Params) -> Curve:
    """The table's trial for a point; for a number between two of the table's, that of the nearest."""
    return table.curve(
        seed=training_seed,
        schedule=str(params[SCHEDULE]),
        peak=float(params[PEAK]),
        strength=float(params[STRENGTH]),
        policy=policy,
    )


def best(ended: Sequence[Ended], spent: float) -> Ended | None:
    """The trial with the highest score that was found with so many epochs; None if none has come to its end."""
    done = [one for one in ended if one.spent <= spent and one.score is not None]
    return max(done, key=lambda one: one.score or 0.0, default=None)
