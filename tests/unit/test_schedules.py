"""The clock, durations, and learning-rate schedules against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hpo.trainers.moving.clock import Clock, Duration
from hpo.trainers.moving.schedules import Constant, Cosine, Exponential, Linear, Restarts, Schedule, Stages, Warmup


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
    ("options", "step", "expected"),
    [
        ({"rate": 0.1}, 0, 0.3),
        ({"rate": 0.1}, 3, 0.3),  # moves only when an epoch is over
        ({"rate": 0.1}, 4, 0.3 * 0.9048374180359595),
        ({"rate": 0.1}, 40, 0.3 * 0.36787944117144233),  # ten epochs: exp(-1)
        ({"rate": 0.1, "per": "step"}, 3, 0.3 * 0.7408182206817179),
        ({"rate": 0.0001}, 39, 0.3 * 0.9991004048785274),
        ({"rate": 0.0}, 39, 0.3),
        ({"factor": 0.95}, 7, 0.3 * 0.95),
        ({"factor": 0.95}, 12, 0.3 * 0.857375),
        ({"factor": 0.5, "per": "step"}, 3, 0.3 * 0.125),
        ({"factor": 1.0}, 39, 0.3),
    ],
)
def test_exponential(options: dict[str, Any], step: int, expected: float) -> None:
    """0.3 exp(-k t), or 0.3 times the factor to the power of t, t in epochs of four steps or in steps."""
    assert expected == pytest.approx(Exponential(peak=0.3, **options)(at(step)), rel=1e-14)


@pytest.mark.parametrize("per", ["epoch", "step"])
def test_rate_and_factor_are_two_ways_to_say_it(per: Any) -> None:
    """exp(-k) is the factor."""
    rate, factor = Exponential(peak=0.3, rate=0.1, per=per), Exponential(peak=0.3, factor=math.exp(-0.1), per=per)
    for step in range(41):
        assert rate(at(step)) == pytest.approx(factor(at(step)), rel=1e-13)


@pytest.mark.parametrize(
    ("length", "rows"),
    [
        ({"steps": 500}, [(0, 0.01), (50, 0.0091), (250, 0.0055), (499, 0.001018), (500, 0.001), (900, 0.001)]),
        ({"epochs": 5}, [(0, 0.01), (50, 0.0091), (250, 0.0055), (499, 0.001018), (500, 0.001), (900, 0.001)]),
    ],
)
def test_linear(length: dict[str, int], rows: list[tuple[int, float]]) -> None:
    """From 0.01 to 0.001 in 500 steps, or in five epochs of 100, and then no further."""
    linear = Linear(peak=0.01, floor=0.001, **length)
    assert pytest.approx([lr for _, lr in rows], rel=1e-12) == [linear(at(step, 100)) for step, _ in rows]


STEPWISE = Stages(peak=0.1, factors=(1.0, 1e-1, 1e-2, 1e-3, 1e-4))
#: first and last epoch, learning rate: table 1 of "Adapting Regularization with Learning Rate …"
ANNEALED_THREE_TIMES = [
    (1, 50, 0.1),
    (51, 100, 0.01),
    (101, 150, 0.001),
    (151, 200, 0.0001),
    (201, 250, 0.00001),
    (251, 270, 0.1),
    (271, 290, 0.01),
    (291, 310, 0.001),
    (311, 330, 0.0001),
    (331, 350, 0.00001),
    (351, 370, 0.1),
    (371, 390, 0.01),
    (391, 410, 0.001),
    (411, 430, 0.0001),
    (431, 450, 0.00001),
]


@pytest.mark.parametrize("cycles", [(250, 100, 100), (250, 100)], ids=["all stated", "the last repeats"])
def test_annealed_three_times(cycles: tuple[int, ...]) -> None:
    """Five stages in cycles of 250, 100 and 100 epochs: the first and the last optimizer step of every row."""
    schedule = Restarts(of=STEPWISE, epochs=cycles)
    for first, last, expected in ANNEALED_THREE_TIMES:
        for step in ((first - 1) * 900, last * 900 - 1):
            assert expected == pytest.approx(schedule(at(step, 900, 450)), rel=1e-12)


@pytest.mark.parametrize(
    "inner",
    [
        Constant(peak=0.3),
        Cosine(peak=0.3, floor=0.1),
        Cosine(peak=0.3, per="step"),
        Exponential(peak=0.3, rate=0.1),
        Exponential(peak=0.3, factor=0.9, per="step"),
        Linear(peak=0.3, steps=7),
        Stages(peak=0.3, factors=(1.0, 0.1), epochs=(1, 1)),
        Warmup(of=Cosine(peak=0.3), steps=3),
        Restarts(of=Cosine(peak=0.3), epochs=(1, 2)),
    ],
    ids=lambda spec: spec.kind,
)
def test_each_cycle_is_a_trial_of_its_own(inner: Any) -> None:
    """In cycles of 2, 3, 3 and 3 epochs, the last one cut off, every step has the rate of a trial of that length."""
    trials = [inner(at(step, 4, length)) for length in (2, 3, 3, 3) for step in range(4 * length)]
    assert trials[:40] == [Restarts(of=inner, epochs=(2, 3))(at(step)) for step in range(40)]


def test_cosine_with_restarts() -> None:
    """One cycle as long as the trial is no restart; two halves begin alike."""
    cosine = Cosine(peak=0.3, per="step")
    whole = [cosine(at(step)) for step in range(40)]
    assert whole == [Restarts(of=cosine, epochs=(10,))(at(step)) for step in range(40)]
    halves = [Restarts(of=cosine, epochs=(5,))(at(step)) for step in range(40)]
    assert halves[:20] == halves[20:]
    assert pytest.approx([0.3, 0.15]) == [halves[20], halves[30]]


@pytest.mark.parametrize("length", [{"steps": 8}, {"epochs": 2}])
def test_warmup(length: dict[str, int]) -> None:
    """Shares 0, 1/8, 2/8, … of what the schedule has at that moment; from the ninth step on, all of it."""
    for inner in (Constant(peak=0.4), Cosine(peak=0.4, per="step"), STEPWISE):
        warm = Warmup(of=inner, **length)
        shares = [*(step / 8 for step in range(8)), *[1.0] * 33]
        assert [inner(at(step)) * share for step, share in enumerate(shares)] == [warm(at(step)) for step in range(41)]
    assert pytest.approx([0.0, 0.05, 0.35, 0.4]) == [
        Warmup(of=Constant(peak=0.4), **length)(at(step)) for step in (0, 1, 7, 8)
    ]


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
        ({"kind": "exponential", "peak": 0.1}, "exactly one of `rate` and `factor`"),
        ({"kind": "exponential", "peak": 0.1, "rate": 0.1, "factor": 0.9}, "exactly one of `rate` and `factor`"),
        ({"kind": "exponential", "peak": 0.1, "rate": -0.1}, "greater than or equal to 0"),
        ({"kind": "exponential", "peak": 0.1, "factor": 1.1}, "less than or equal to 1"),
        ({"kind": "linear", "peak": 0.1}, "exactly one of `epochs` and `steps`"),
        ({"kind": "linear", "peak": 0.1, "floor": 0.2, "steps": 5}, "must not exceed peak"),
        ({"kind": "restarts", "of": {"kind": "cosine", "peak": 0.1}}, "Field required"),
        ({"kind": "restarts", "of": {"kind": "cosine", "peak": 0.1}, "epochs": ()}, "at least 1 item"),
        ({"kind": "restarts", "of": {"kind": "cosine"}, "epochs": (5,)}, "Field required"),
        ({"kind": "restarts", "of": {"kind": "cosin", "peak": 0.1}, "epochs": (5,)}, "expected tags: 'constant', "),
        ({"kind": "restarts", "peak": 0.1, "epochs": (5,)}, "unknown key 'peak'"),
        ({"kind": "warmup", "of": {"kind": "cosine", "peak": 0.1}}, "exactly one of `epochs` and `steps`"),
        ({"kind": "warmup", "of": {"kind": "cosine", "peak": 0.1}, "epochs": 0}, "greater than 0"),
        ({"kind": "cosinus", "peak": 0.1}, "expected tags: 'constant', "),
        ({"peak": 0.1}, "discriminator"),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    """What is wrong, or what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Schedule).validate_python(given)


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(peak=0.3),
        Cosine(peak=0.3, floor=0.1),
        Exponential(peak=0.3, rate=0.1),
        Linear(peak=0.3, steps=7),
        Stages(peak=0.3, factors=(0.1, 1.0)),
        Warmup(of=Cosine(peak=0.3), steps=3),
        Restarts(of=Warmup(of=Cosine(peak=0.3), steps=3), epochs=(1, 2)),
    ],
    ids=lambda spec: spec.kind,
)
def test_peak_is_the_highest_value(schedule: Any) -> None:
    """Nowhere is it exceeded, whatever is nested in what; and a schedule is the same after a journey as JSON."""
    assert 0.3 == schedule.peak
    rates = [schedule(at(step)) for step in range(41)]
    assert 0.0 <= min(rates) <= max(rates) <= 0.3
    again = TypeAdapter(Schedule).validate_json(schedule.model_dump_json())
    assert (schedule, rates) == (again, [again(at(step)) for step in range(41)])


def test_floor_above_the_peak() -> None:
    """Refused: policies and readers take the peak for the highest value."""
    with pytest.raises(ValidationError):
        Cosine(peak=0.1, floor=0.2)
