"""The clock, durations, and learning-rate schedules against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hpo.train.clock import Clock, Duration
from hpo.train.schedules import Constant, Cosine, Schedule, Stages


def at(step: int, steps_per_epoch: int = 4, epochs: int = 10) -> Clock:
    return Clock(step, steps_per_epoch, epochs)


@pytest.mark.parametrize(
    ("step", "epoch", "progress", "at_epoch_end"),
    [
        (0, 0, 0.0, False),
        (3, 0, 0.075, False),
        (4, 1, 0.1, True),
        (5, 1, 0.125, False),
        (20, 5, 0.5, True),
        (40, 10, 1.0, True),
    ],
)
def test_clock(step: int, epoch: int, progress: float, at_epoch_end: bool) -> None:
    """Of 10 epochs with 4 steps each."""
    clock = at(step)
    assert (40, epoch, progress, at_epoch_end) == (
        clock.total_steps,
        clock.epoch,
        clock.progress,
        clock.at_epoch_end,
    )


def test_duration() -> None:
    """Epochs count as many steps as they have; steps are steps."""
    assert [12, 5] == [Duration(epochs=3).in_steps(at(0)), Duration(steps=5).in_steps(at(0))]


@pytest.mark.parametrize("given", [{}, {"epochs": 1, "steps": 1}, {"epochs": 0}, {"steps": -1}, {"epoch": 1}])
def test_duration_refused(given: dict[str, Any]) -> None:
    """Exactly one unit, a whole number above 0."""
    with pytest.raises(ValidationError):
        Duration.model_validate(given)


@pytest.mark.parametrize("step", [0, 1, 20, 39, 40])
def test_constant(step: int) -> None:
    """The same at every moment."""
    assert 0.3 == Constant(peak=0.3)(at(step))


@pytest.mark.parametrize(
    ("per", "step", "expected"),
    [
        ("epoch", 0, 0.5),
        ("epoch", 3, 0.5),  # moves only when an epoch is over
        ("epoch", 20, 0.3),  # half of the way: midway between 0.5 and 0.1
        ("epoch", 23, 0.3),
        ("epoch", 39, 0.1 + 0.2 * (1 - 0.9510565162951535)),  # epoch 9 of 10: cos(0.9 pi) = -0.951…
        ("epoch", 40, 0.1),
        ("step", 0, 0.5),
        ("step", 10, 0.1 + 0.2 * (1 + 0.7071067811865476)),  # a quarter: cos(pi / 4)
        ("step", 20, 0.3),
        ("step", 30, 0.1 + 0.2 * (1 - 0.7071067811865476)),
        ("step", 40, 0.1),
    ],
)
def test_cosine(per: Any, step: int, expected: float) -> None:
    """From the peak 0.5 to the floor 0.1 along half a cosine."""
    assert expected == pytest.approx(Cosine(peak=0.5, floor=0.1, per=per)(at(step)), abs=1e-15)


def test_cosine_ends_at_zero() -> None:
    """Without a floor, exactly 0: nothing is left of the peak by rounding."""
    assert 0.0 == Cosine(peak=0.7)(at(40))


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ({"epochs": (1, 3, 2)}, "AAAABBBBBBBBBBBBCCCCCCCCCCCCCCCCCCCCCCCC"),
        ({"steps": (1, 3, 2)}, "ABBBCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"),
        ({"epochs": (5, 50, 1)}, "AAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBB"),
        ({}, "AAAAAAAAAAAAAABBBBBBBBBBBBBCCCCCCCCCCCCC"),  # thirds of 40 steps begin at 13.33 and 26.67
    ],
)
def test_stages(lengths: dict[str, Any], expected: str) -> None:
    """The factor of each of the 40 steps; the last stage lasts to the end, a stage too long is cut there."""
    stages = Stages(peak=0.2, factors=(1.0, 0.5, 0.0), **lengths)
    named = {0.2: "A", 0.1: "B", 0.0: "C"}
    assert expected == "".join(named[stages(at(step))] for step in range(40))


def test_stages_after_the_last_step() -> None:
    """The end of a trial still lies in the last stage."""
    for lengths in ({}, {"epochs": (1, 9)}, {"steps": (20, 20)}):
        assert 0.1 == Stages(peak=0.1, factors=(0.5, 1.0), **lengths)(at(40))


@pytest.mark.parametrize("lengths", [{}, {"epochs": (50,) * 5}])
def test_first_phase_of_stepwise_annealing(lengths: dict[str, Any]) -> None:
    """0.1 to 0.00001 in five steps of 50 epochs: the first and the last optimizer step of every row."""
    rows = [(1, 50, 0.1), (51, 100, 0.01), (101, 150, 0.001), (151, 200, 0.0001), (201, 250, 0.00001)]
    stages = Stages(peak=0.1, factors=(1.0, 1e-1, 1e-2, 1e-3, 1e-4), **lengths)
    for first, last, expected in rows:
        for step in ((first - 1) * 900, last * 900 - 1):
            assert expected == pytest.approx(stages(at(step, 900, 250)), rel=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "stages", "peak": 0.1, "factors": (1.0, 0.1), "epochs": (5,)}, "2 factors and 1 lengths"),
        ({"kind": "stages", "peak": 0.1, "factors": (1.0,), "epochs": (5,), "steps": (5,)}, "not in both"),
        ({"kind": "stages", "peak": 0.1, "factors": ()}, "at least 1 item"),
        ({"kind": "stages", "peak": 0.1, "factors": (1.0, -0.1)}, "greater than or equal to 0"),
        ({"kind": "stages", "peak": 0.1, "factors": (1.0, 0.1), "epochs": (5, 0)}, "greater than 0"),
        ({"kind": "constant", "peak": 0.0}, "greater than 0"),
        ({"kind": "constant", "peak": float("inf")}, "finite"),
        ({"kind": "cosine", "peak": 0.1, "floor": -0.1}, "greater than or equal to 0"),
        ({"kind": "cosine", "peak": 0.1, "per": "day"}, "'epoch' or 'step'"),
        ({"kind": "cosine", "peak": 0.1, "flor": 0.0}, "did you mean 'floor'"),
        ({"kind": "cosine"}, "Field required"),
        ({"kind": "cosinus", "peak": 0.1}, "expected tags: 'constant', "),
        ({"peak": 0.1}, "discriminator"),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    """What is wrong, or what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Schedule).validate_python(given)


def test_peak_is_the_highest_value() -> None:
    """A floor above the peak is refused: policies and readers take the peak for the highest value."""
    with pytest.raises(ValidationError):
        Cosine(peak=0.1, floor=0.2)
