"""How strengths move: every policy against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hpo.train.clock import Clock, Duration, Observation, Score
from hpo.train.policies import AccuracyGap, FollowsLr, Hold, Policy, Ramp, Stages

BASE = 0.01


def seen(
    step: int = 0, gap: float | None = None, *, lr: float = 0.1, per_epoch: int = 4, epochs: int = 10
) -> Observation:
    """Before step `step`, base strength 0.01, peak lr 0.1; `gap` is train minus validation accuracy."""
    train = None if gap is None else Score(0.0, 0.5 + gap)
    validation = None if gap is None else Score(0.0, 0.5)
    return Observation(Clock(step, per_epoch, epochs), BASE, lr, 0.1, train, validation)


def test_hold() -> None:
    """Whatever it is, it stays."""
    assert [0.3, 0.0] == [Hold()(strength, seen(7, 0.5)) for strength in (0.3, 0.0)]


@pytest.mark.parametrize(
    ("direction", "shape", "multiples"),
    [
        ("up", "geometric", (1.0, 4.0, 16.0)),
        ("down", "geometric", (16.0, 4.0, 1.0)),
        ("up", "linear", (1.0, 8.5, 16.0)),
        ("down", "linear", (16.0, 8.5, 1.0)),
    ],
)
def test_ramp(direction: Any, shape: Any, multiples: tuple[float, ...]) -> None:
    """Factor 16 at the start, in the middle and at the end of 40 steps."""
    ramp = Ramp(direction=direction, shape=shape, factor=16.0)
    assert pytest.approx([BASE * m for m in multiples]) == [ramp(BASE, seen(step)) for step in (0, 20, 40)]


@pytest.mark.parametrize("shape", ["geometric", "linear"])
def test_down_is_up_reversed(shape: Any) -> None:
    """Both directions pass through the same strengths."""
    up, down = (Ramp(direction=direction, shape=shape) for direction in ("up", "down"))
    rising = [up(BASE, seen(step)) for step in range(41)]
    assert pytest.approx(rising[::-1]) == [down(BASE, seen(step)) for step in range(41)]
    assert sorted(set(rising)) == rising


@pytest.mark.parametrize(
    ("factors", "rows"),
    [
        (
            (3.0, 2.0, 1.0, 0.0),
            [(0, 3.0), (999, 3.0), (1000, 2.0), (2000, 1.0), (2999, 1.0), (3000, 0.0), (3999, 0.0)],
        ),
        ((0.0, 1.0, 2.0, 3.0), [(0, 0.0), (999, 0.0), (1000, 1.0), (2000, 2.0), (3999, 3.0)]),
    ],
)
@pytest.mark.parametrize("lengths", [{}, {"steps": (1000,) * 4}, {"epochs": (5,) * 4}])
def test_pull_down_and_pull_up(factors: Any, rows: list[tuple[int, float]], lengths: dict[str, Any]) -> None:
    """Strengths 3, 2, 1, 0 for 1000 iterations each (20 epochs of 200), and the way back."""
    stages = Stages(factors=factors, **lengths)
    for step, multiple in rows:
        assert BASE * multiple == stages(BASE, seen(step, per_epoch=200, epochs=20))


@pytest.mark.parametrize(
    ("options", "lr", "multiple"),
    [
        ({"power": 0.5}, 0.1, 1.0),
        ({"power": 0.5}, 0.001, 10.0),
        ({"power": 1.0}, 0.01, 10.0),
        ({"power": 1.0}, 0.001, 16.0),  # 100, cut at the limit
        ({"power": 1.0, "limit": 200.0}, 0.001, 100.0),
        ({"power": 0.5}, 0.0, 16.0),
        ({"power": -1.0}, 0.01, 0.1),  # falls with the learning rate
        ({"power": -1.0}, 0.0, 0.0),
        ({"power": 0.0}, 0.01, 1.0),
        ({"power": 0.0}, 0.0, 1.0),
        ({"power": 400.0}, 0.01, 16.0),  # 10 ** 400 is above the largest float
    ],
)
def test_follows_lr(options: dict[str, float], lr: float, multiple: float) -> None:
    """(0.1 / lr) ** power, at most the limit."""
    assert pytest.approx(BASE * multiple) == FollowsLr(**options)(BASE, seen(lr=lr))


def test_rises_sixteenfold_as_the_learning_rate_falls() -> None:
    """Learning rates 0.1 to 0.00001, power 1/2: the strength rises until the limit of 16."""
    rates = (0.1, 0.01, 0.001, 0.0001, 0.00001)
    strengths = [FollowsLr(power=0.5, limit=16.0)(BASE, seen(lr=lr)) / BASE for lr in rates]
    assert pytest.approx([1.0, 3.1622776601683795, 10.0, 16.0, 16.0]) == strengths


def test_weight_decay_rises_with_each_stage() -> None:
    """Annealing in five steps of 50 epochs: weight decay 0.0001, 0.0001, 0.0008, 0.0016, 0.0016."""
    rows = [(1, 50, 1.0), (51, 100, 1.0), (101, 150, 8.0), (151, 200, 16.0), (201, 250, 16.0)]
    stages = Stages(factors=(1.0, 1.0, 8.0, 16.0, 16.0), epochs=(50,) * 5)
    for first, last, multiple in rows:
        for epoch in (first, last):
            assert BASE * multiple == stages(BASE, seen(4 * epoch - 1, epochs=250))
            assert BASE * multiple == stages(BASE, seen(4 * (epoch - 1), epochs=250))


@pytest.mark.parametrize(
    ("gap", "strength", "expected"),
    [
        (0.051, 0.01, 0.02),  # above 0.05: raise
        (0.049, 0.01, 0.01),  # between: keep
        (0.011, 0.01, 0.01),
        (0.009, 0.01, 0.005),  # below 0.01: lower
        (-0.2, 0.01, 0.005),
        (0.2, 0.07, 0.08),  # not above 8 times the base
        (0.2, 0.08, 0.08),
        (-0.2, 0.0015, 0.00125),  # not below an eighth
        (-0.2, 0.00125, 0.00125),
        (0.2, 0.0, 0.0),  # nothing to multiply
        (None, 0.01, 0.01),  # before the first evaluation
    ],
)
def test_accuracy_gap(gap: float | None, strength: float, expected: float) -> None:
    """Factor 2, limit 8, at the beginning of an epoch."""
    policy = AccuracyGap(raise_above=0.05, lower_below=0.01, factor=2.0, limit=8.0)
    assert pytest.approx(expected) == policy(strength, seen(8, gap))


def test_accuracy_gap_keeps_at_the_thresholds() -> None:
    """Neither above nor below: keep."""
    policy = AccuracyGap(raise_above=0.25, lower_below=-0.25)
    assert [BASE, BASE] == [policy(BASE, seen(4, gap)) for gap in (0.25, -0.25)]


@pytest.mark.parametrize(
    ("every", "acts_at"),
    [
        ({"epochs": 1}, [4, 8, 12, 16, 20]),
        ({"epochs": 2}, [8, 16]),
        ({"steps": 3}, [6, 9, 12, 15, 18, 21]),
        ({"steps": 7}, [7, 14, 21]),
        ({"epochs": 9}, []),
    ],
)
def test_accuracy_gap_acts_once_per_cadence(every: dict[str, int], acts_at: list[int]) -> None:
    """Called before each of 23 steps, evaluated after every fourth."""
    policy = AccuracyGap(factor=2.0, limit=1e9, every=Duration(**every))
    strength, moved = BASE, []
    for step in range(23):
        now = policy(strength, seen(step, 0.3 if step >= 4 else None))
        if now != strength:
            moved.append(step)
            assert 2 * strength == now
        strength = now
    assert acts_at == moved


@pytest.mark.parametrize(
    "policy",
    [
        Hold(),
        Ramp(direction="up"),
        Ramp(direction="down", shape="linear"),
        Stages(factors=(2.0, 1.0)),
        FollowsLr(),
        AccuracyGap(),
        AccuracyGap(every=Duration(steps=3)),
    ],
)
def test_pure(policy: Any) -> None:
    """The same arguments give the same answer, in whatever order and however often they are asked."""
    moments = [seen(step, gap, lr=0.1 / (1 + step)) for step in range(40) for gap in (None, -0.1, 0.03, 0.3)]
    once = [policy(0.02, moment) for moment in moments]
    assert once[::-1] == [policy(0.02, moment) for moment in reversed(moments)]
    again = TypeAdapter(Policy).validate_json(policy.model_dump_json())
    assert (policy, once) == (again, [again(0.02, moment) for moment in moments])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "ramp", "direction": "sideways"}, "'up' or 'down'"),
        ({"kind": "ramp", "direction": "up", "factor": 1.0}, "greater than 1"),
        ({"kind": "ramp"}, "Field required"),
        ({"kind": "accuracy_gap", "raise_above": 0.01, "lower_below": 0.02}, "must not exceed"),
        ({"kind": "accuracy_gap", "factor": 1.0}, "greater than 1"),
        ({"kind": "accuracy_gap", "limit": 0.5}, "greater than or equal to 1"),
        ({"kind": "accuracy_gap", "every": {}}, "exactly one of"),
        ({"kind": "accuracy_gap", "rise_above": 0.1}, "did you mean 'raise_above'"),
        ({"kind": "follows_lr", "limit": 0.9}, "greater than or equal to 1"),
        ({"kind": "stages", "factors": ()}, "at least 1 item"),
        ({"kind": "gap"}, "expected tags: 'hold', "),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    """What is wrong, or what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Policy).validate_python(given)
