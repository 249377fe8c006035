"""What a number means: its direction, and what stands in for one that a diverged trial does not have."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from optuna import create_study
from optuna.pruners import PercentilePruner as OptunasPercentilePruner
from optuna.trial import create_trial

from hpo.errors import StudyFileError
from hpo.evidence.ranking import ranking
from hpo.metric import Metric
from hpo.report.figures.values import toward_best
from hpo.report.verdict.compare import compare
from hpo.report.verdict.efficiency import Step, best_so_far, efficiencies
from hpo.report.verdict.selection import expected_best
from hpo.search.percentile import PercentilePruner
from hpo.storage.rows import Cell
from hpo.study.file import parse
from hpo.trainers.images.reported import ACCURACY, LOSS, METRICS, OBJECTIVE
from tests.unit.report_samples import confirm, diverged, search, study

VALIDATION_LOSS = LOSS.of("validation")


def test_names() -> None:
    """A metric of a split is called after both, and there is one of each kind of each split."""
    assert ["train_accuracy", "train_loss", "validation_accuracy", "validation_loss", "test_accuracy", "test_loss"] == [
        *METRICS
    ]
    loss = METRICS["validation_loss"]
    assert ("validation", "loss", "validation loss", "test_loss") == (
        loss.split,
        loss.base,
        loss.words,
        loss.on("test").name,
    )


@pytest.mark.parametrize(("metric", "order"), [(ACCURACY, [0.9, 0.2, 0.1, None]), (LOSS, [0.1, 0.2, 0.9, None])])
def test_better(metric: Metric, order: list[float | None]) -> None:
    """The best comes first, and what has no value last, whichever way is better."""
    assert order == sorted([0.2, None, 0.9, 0.1], key=metric.place)
    assert not metric.is_better(0.5, 0.5)
    assert metric.is_better(order[0] or 0.0, order[1] or 0.0)


def test_a_mean_without_a_value() -> None:
    """What ranks last has no mean: the survivors' mean would be the better for it."""
    assert 0.25 == LOSS.mean([0.2, 0.3])
    assert LOSS.mean([0.2, None]) is None


def test_what_samplers_are_told_of_a_diverged_trial() -> None:
    """The worst value that was stated, or the worst number there is."""
    assert (0.0, math.inf, 2.3) == (ACCURACY.last, LOSS.last, replace(LOSS, worst=2.3).last)


def lossy(slot: int, loss: float | None, ended: str = "finished", **fields: Any) -> Cell:
    """A search trial that is judged by its loss."""
    return replace(search("grid", slot, 0.5, ended, validation_loss=loss, **fields), score=loss)


def test_ranking() -> None:
    """The lowest loss is first; a configuration of which a repeat diverged is last, whatever the other one reached."""
    cells = [
        lossy(0, 0.4, params={"lr.peak": 0.1}),
        lossy(1, 0.2, params={"lr.peak": 0.2}),
        lossy(2, 0.1, params={"lr.peak": 0.3}),
        lossy(2, None, "diverged", seed=1, params={"lr.peak": 0.3}),
    ]
    ranked = ranking(VALIDATION_LOSS, cells)
    assert [(0.2, 0.2), (0.1, 0.4), (0.3, None)] == [(one.params["lr.peak"], one.score) for one in ranked]


def test_the_search_s_efficiency() -> None:
    """Best so far falls; what is as good as the baseline's best has a loss that is no higher."""
    cells = [lossy(slot, loss, epochs=2, finished=float(slot)) for slot, loss in enumerate([0.4, 0.5, 0.2])]
    assert [Step(2, 1.0, 0.4), Step(6, 3.0, 0.2)] == list(best_so_far(VALIDATION_LOSS, cells))
    found = efficiencies(by_loss(), cells)["grid"]
    assert found.reached is not None and 6 == found.reached.epochs
    assert pytest.approx(0.4) == found.area  # of the epochs 2 to 6, at the end of which 0.2 was found


def test_the_expected_best() -> None:
    """The more trials, the lower; a diverged one counts as the arm's worst."""
    found = expected_best(VALIDATION_LOSS, [lossy(0, 0.4), lossy(1, 0.2), lossy(2, None, "diverged")], 1)
    assert pytest.approx([1.0 / 3, 0.8 / 3, 0.2]) == [one.score for one in found]


def test_limits_of_an_axis() -> None:
    """The lower values are shown apart, and what lies far above is outside."""
    values = [10.0, 90.0, 91.0, 92.0, 93.0, 94.0, 95.0, 96.0]
    low, high = toward_best(OBJECTIVE, values)
    assert (pytest.approx(-high), pytest.approx(-low)) == toward_best(VALIDATION_LOSS, [-value for value in values])


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_pruner_decides_as_optuna_s(direction: str) -> None:
    """On the same trials, for every trial and both directions."""
    chance, decided = np.random.default_rng(0), set()
    told = create_study(direction=direction)
    for _ in range(40):
        values = {step: float(value) for step, value in enumerate(chance.normal(size=4), 1)}
        told.add_trial(create_trial(value=values[4], intermediate_values=values))
    for _ in range(60):
        values = {step: float(value) for step, value in enumerate(chance.normal(size=2), 1)}
        trial = create_trial(state=told.trials[0].state, value=0.0, intermediate_values=values)
        ours = PercentilePruner(25.0, 5).prune(told, trial)
        assert OptunasPercentilePruner(25.0, n_startup_trials=5).prune(told, trial) == ours
        decided.add(ours)
    assert {True, False} == decided


def by_loss(**fields: Any) -> Any:
    """The study of the samples, judged by the loss."""
    table = study(**fields).model_dump(mode="json")
    table["protocol"]["metric"] = "validation_loss"
    for claim in table["claims"]:
        for side in ("greater", "less"):
            if claim[side]:
                claim[side]["metric"] = None
    return parse(_without_none(table))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(below) for key, below in value.items() if below is not None}
    return [_without_none(below) for below in value] if isinstance(value, list) else value


CLAIM = {"text": "ramp is better", "less": {"arm": "ramp", "than": "grid"}}


def losses(arm: str, values: list[float | None], of: float) -> list[Cell]:
    """A search trial of this loss, and a confirm trial for each of the values on test; None has diverged."""
    searched = replace(search(arm, 0, 0.9, validation_loss=of), score=of)
    cells = [searched]
    for seed, value in enumerate(values, 1000):
        if value is None:
            cells.append(replace(diverged(arm, seed), score=None))
        else:
            cells.append(confirm(arm, seed, 0.9, 0.9, score=value, validation_loss=value, test_loss=value))
    return cells


def test_a_verdict_by_loss() -> None:
    """A claim that names no metric is on the loss on test; the report's differences, best and worst are the loss's."""
    cells = losses("grid", [0.51, 0.52, 0.5], of=0.5) + losses("ramp", [0.2, 0.22, 0.18], of=0.2)
    report = compare(by_loss(confirm={"seeds": 3}, claims=[CLAIM]), cells)
    assert ("test_loss", "supported") == (report.claims[0].metric.name, report.claims[0].verdict)
    ramp = report.arms[1]
    assert ramp.test is not None and ramp.difference is not None
    assert pytest.approx((0.2, 0.18, 0.22)) == (ramp.search_best, ramp.test.best, ramp.test.worst)
    assert pytest.approx(-0.31) == ramp.difference.difference
    assert "lowest validation loss" in report.rules[0] and "one that diverged ranks last" in report.rules[0]


def test_survivors_decide_nothing() -> None:
    """Seeds that diverged have no loss; the others would be the luckier half of a comparison."""
    grid = losses("grid", [0.51, 0.52, 0.5, 0.51], of=0.5)
    cells = [*grid, *losses("ramp", [0.2, 0.22, 0.18, None], of=0.2)]
    [claim] = compare(by_loss(confirm={"seeds": 4}, claims=[CLAIM]), cells).claims
    assert claim.difference is not None and claim.difference.p is not None and claim.difference.p < 0.01
    assert ("undecided", None) == (claim.verdict, claim.needed)
    assert "ramp has no test loss under 1 seed that diverged" in claim.reason


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("protocol", "metric"), "test_loss", "protocol.metric: on validation, a trial reports validation_accuracy,"),
        (("protocol", "metric"), "validation_los", "did you mean 'validation_loss'?"),
        (("claims", 0, "less", "metric"), "accuracy", "claims.0.less.metric: a trial reports train_accuracy,"),
        (("published", 0, "metric"), "x", "published.0.metric: a trial reports train_accuracy,"),
    ],
)
def test_a_metric_that_is_not_reported(path: tuple[str | int, ...], value: str, message: str) -> None:
    """It is told what is, with the nearest."""
    published = [{"arm": "grid", "value": 0.5, "where": "table 1"}]
    table: Any = study(confirm={"seeds": 2}, claims=[CLAIM], published=published).model_dump(mode="json")
    table = _without_none(table)
    place = table
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(StudyFileError) as refused:
        parse(table)
    assert message in str(refused.value)


def test_train_metrics_of_an_earlier_moment() -> None:
    """A claim may be on anything that is reported after an epoch."""
    claim = {"text": "sooner", "less": {"arm": "ramp", "than": "grid", "metric": "train_loss", "at": 0.5}}
    assert "train_loss" == study(claims=[claim]).claims[0].comparison.metric
