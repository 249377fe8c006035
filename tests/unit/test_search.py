"""Samplers propose inside the space, each slot its own reproducible point; pruners look at their rungs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, PercentilePruner
from optuna.trial import TrialState
from pydantic import TypeAdapter, ValidationError

from hpo.search import (
    CmaEs,
    Gp,
    Hyperband,
    Median,
    NoPruner,
    Patient,
    Percentile,
    Pruner,
    Qmc,
    Random,
    Rungs,
    Sampler,
    SuccessiveHalving,
    Tpe,
    Wilcoxon,
)
from hpo.search.qmc import from_unit

NUMBERS: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(1e-4, 1.0, log=True),
}
SPACE: dict[str, BaseDistribution] = NUMBERS | {
    "stepped": FloatDistribution(0.0, 1.0, step=0.25),
    "whole": IntDistribution(1, 9),
    "odd": IntDistribution(1, 9, step=2),
    "units": IntDistribution(1, 1000, log=True),
    "choice": CategoricalDistribution(["a", "b", 3, True]),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Optuna tells of every trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def propose(sampler: Any, space: dict[str, BaseDistribution], slots: range, told: int = 0) -> list[dict[str, Any]]:
    """The proposals of one sampler per slot, in a study where `told` trials are finished."""
    study = optuna.create_study(direction="maximize")
    for number in range(told):
        trial = study.ask(space)
        study.tell(trial, number / told)
    points = []
    for slot in slots:
        study.sampler = sampler.build(7, slot, space)
        points.append(study.ask(space).params)
    return points


SAMPLERS = [
    (Random(), SPACE, 0),
    (Tpe(startup=3), SPACE, 0),
    (Tpe(startup=3), SPACE, 12),
    (Tpe(startup=3, multivariate=False), SPACE, 12),
    (Gp(startup=3), SPACE, 0),
    (Gp(startup=3), SPACE, 12),
    (CmaEs(), NUMBERS, 0),
    (CmaEs(), NUMBERS, 12),
    (Qmc(), SPACE, 0),
    (Qmc(sequence="halton"), SPACE, 0),
]


def kind(value: Any) -> str | None:
    return getattr(value, "kind", None) or ("" if isinstance(value, dict) else None)


@pytest.mark.parametrize(("sampler", "space", "told"), SAMPLERS, ids=kind)
def test_proposals(sampler: Any, space: dict[str, BaseDistribution], told: int) -> None:
    """Inside the space; every slot another point; the same slot of the same arm the same one."""
    points = propose(sampler, space, range(8), told)
    for point in points:
        assert list(space) == list(point)
        assert all(d._contains(d.to_internal_repr(point[name])) for name, d in space.items())
    assert 8 == len({repr(point) for point in points})
    if told == 0:  # what a model proposes depends on what it has seen
        assert points[::-1] == [propose(sampler, space, range(slot, slot + 1))[0] for slot in reversed(range(8))]


@pytest.mark.parametrize("sampler", [Random(), Tpe(), Qmc(), Qmc(sequence="halton")], ids=kind)
def test_another_seed_another_point(sampler: Any) -> None:
    """Arms and studies don't share their draws."""
    study = optuna.create_study()
    points = []
    for seed in range(5):
        study.sampler = sampler.build(seed, 0, SPACE)
        points.append(repr(study.ask(SPACE).params))
    assert 5 == len(set(points))


def test_sobol_covers_every_cell_once() -> None:
    """The first 16 points of two parameters: one in each cell of a 4 x 4 grid, and of 16 strips."""
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
    points = propose(Qmc(), space, range(16))
    assert 16 == len({(int(point["x"] * 4), int(point["y"] * 4)) for point in points})
    for name in space:
        assert list(range(16)) == sorted(int(point[name] * 16) for point in points)


def test_sobol_covers_choices_evenly() -> None:
    """16 points give each of four choices four times."""
    space: dict[str, BaseDistribution] = {
        "c": CategoricalDistribution(list("abcd")),
        "x": FloatDistribution(0, 1),
    }
    chosen = [point["c"] for point in propose(Qmc(), space, range(16))]
    assert [4] * 4 == [chosen.count(choice) for choice in "abcd"]


@pytest.mark.parametrize(
    ("distribution", "units", "expected"),
    [
        (FloatDistribution(2.0, 4.0), [0.0, 0.5, 0.75], [2.0, 3.0, 3.5]),
        (FloatDistribution(1e-4, 1.0, log=True), [0.0, 0.25, 0.5], [1e-4, 1e-3, 1e-2]),
        (FloatDistribution(0.0, 1.0, step=0.25), [0.0, 0.19, 0.21, 0.5, 0.999], [0.0, 0.0, 0.25, 0.5, 1.0]),
        (FloatDistribution(0.0, 0.3, step=0.1), [0.0, 0.26, 0.51, 0.999], [0.0, 0.1, 0.2, 0.3]),
        (IntDistribution(1, 4), [0.0, 0.24, 0.26, 0.999], [1, 1, 2, 4]),
        (IntDistribution(1, 9, step=4), [0.0, 0.34, 0.67, 0.999], [1, 5, 9, 9]),
        (IntDistribution(1, 100, log=True), [0.0, 0.5, 0.999999], [1, 10, 100]),
        (CategoricalDistribution(["a", "b"]), [0.0, 0.49, 0.5, 0.999], ["a", "a", "b", "b"]),
    ],
    ids=str,
)
def test_from_unit(distribution: BaseDistribution, units: list[float], expected: list[Any]) -> None:
    """Coordinates in [0, 1) against values worked out by hand."""
    values = [from_unit(unit, distribution) for unit in units]
    if isinstance(distribution, CategoricalDistribution):
        assert expected == values
    else:
        assert pytest.approx(expected) == values
        assert all(distribution._contains(value) for value in values)


# --- pruners


@pytest.mark.parametrize(
    ("warmup", "every", "expected"),
    [
        (0, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (1, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (3, 1, [3, 4, 5, 6, 7, 8, 9]),
        (3, 3, [3, 6, 9]),
        (2, 5, [2, 7]),
        (0, 4, [1, 5, 9]),
        (20, 1, []),
    ],
)
def test_rungs(warmup: int, every: int, expected: list[int]) -> None:
    """Of nine epochs."""
    rungs = Rungs(warmup=warmup, every=every)
    assert expected == [epoch for epoch in range(1, 10) if rungs.at_rung(epoch)]


PRUNERS = [
    NoPruner(),
    Median(startup=2, warmup=1),
    Percentile(percentile=25.0, startup=2),
    SuccessiveHalving(reduction=2),
    Hyperband(min_epochs=2, reduction=2),
    Hyperband(min_epochs=50),
    Wilcoxon(),
    Patient(wrapped=Median(startup=2), patience=1),
]


@pytest.mark.parametrize("pruner", PRUNERS, ids=kind)
@pytest.mark.parametrize("epochs", [1, 8])
def test_pruner_builds_and_answers(pruner: Any, epochs: int) -> None:
    """Good trials go to their end, whatever the pruner."""
    built = pruner.build(epochs)
    assert isinstance(built, BasePruner)
    study = optuna.create_study(direction="maximize", pruner=built)
    for number in range(4):
        trial = study.ask()
        for epoch in range(1, epochs + 1):
            trial.report(0.1 * number + 0.01 * epoch, epoch)
        study.tell(trial, 0.1 * number + 0.01 * epochs)
    best = study.ask()
    pruned = []
    for epoch in range(1, epochs + 1):
        best.report(0.9 + 0.01 * epoch, epoch)
        pruned.append(best.should_prune())
    assert [False] * epochs == pruned


@pytest.mark.parametrize(
    ("pruner", "prunes"),
    [
        (NoPruner(), False),
        (Median(startup=2), True),
        (Percentile(startup=2), True),
        (Patient(wrapped=Median(startup=2), patience=50), False),
        (Median(startup=50), False),
    ],
    ids=kind,
)
def test_a_bad_trial(pruner: Any, prunes: bool) -> None:
    """Far below four good ones."""
    study = optuna.create_study(direction="maximize", pruner=pruner.build(8))
    for _ in range(4):
        trial = study.ask()
        trial.report(0.9, 1)
        study.tell(trial, 0.9)
    bad = study.ask()
    bad.report(0.1, 1)
    assert prunes == bad.should_prune()
    study.tell(bad, state=TrialState.PRUNED)


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")  # from Optuna's
@pytest.mark.parametrize("percentile", [50.0, 25.0, 90.0])
def test_percentile_decides_as_optunas(percentile: float) -> None:
    """One that has seen the study grow, at every look: trials end in any order, some pruned, with gaps and NaN."""
    draw, ours, theirs = random.Random(3), Percentile(percentile=percentile, startup=3).build(8), []
    study = optuna.create_study(direction="maximize")
    running = []
    for _ in range(400):
        if len(running) < 4:
            running.append((study.ask(), draw.random()))
        trial, goal = draw.choice(running)
        step = (study.trials[trial.number].last_step or 0) + draw.choice([1, 1, 2])
        trial.report(draw.choice([math.nan, goal, goal + draw.gauss(0.0, 0.1)]), step)
        look = study.trials[trial.number]
        theirs.append(PercentilePruner(percentile, n_startup_trials=3).prune(study, look))
        assert theirs[-1] == ours.prune(study, look)
        if step >= 6 or draw.random() < 0.1:
            running.remove((trial, goal))
            study.tell(trial, goal if step >= 6 else None, state=None if step >= 6 else TrialState.PRUNED)
    assert 40 < sum(theirs) < 360


@pytest.mark.parametrize("adapter", [Sampler, Pruner], ids=["sampler", "pruner"])
def test_kinds_survive_json(adapter: Any) -> None:
    """Every sampler and pruner, as a study stores it."""
    specs: list[Any] = [case[0] for case in SAMPLERS] if adapter is Sampler else PRUNERS
    for spec in specs:
        assert spec == TypeAdapter(adapter).validate_json(spec.model_dump_json())


@pytest.mark.parametrize(
    ("adapter", "given", "message"),
    [
        (Sampler, {"kind": "tpa"}, "expected tags: 'grid', "),
        (Sampler, {"kind": "tpe", "candidates": 0}, "greater than 0"),
        (Sampler, {"kind": "qmc", "sequence": "sobel"}, "'sobol' or 'halton'"),
        (Sampler, {"kind": "tpe", "seed": 3}, "unknown key 'seed'"),
        (Pruner, {"kind": "median", "warmup": -1}, "greater than or equal to 0"),
        (Pruner, {"kind": "median", "every": 0}, "greater than 0"),
        (Pruner, {"kind": "percentile", "percentile": 100}, "less than 100"),
        (Pruner, {"kind": "patient"}, "Field required"),
        (Pruner, {"kind": "patient", "wrapped": {"kind": "patient"}}, "expected tags: 'median', "),
        (Pruner, {"kind": "successive_halving", "reduction": 1}, "greater than or equal to 2"),
    ],
)
def test_refused(adapter: Any, given: dict[str, Any], message: str) -> None:
    """What is wrong, or what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(adapter).validate_python(given)
