"""How strengths move: every policy against numbers worked out by hand."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hpo.trainers.moving.clock import Clock, Duration, Observation, Score
from hpo.trainers.moving.policies import AccuracyGap, FollowsLr, Gap, Hold, LossGap, Policy, Ramp, Replay, Stages
from hpo.trainers.moving.schedules import Constant, Restarts, Warmup
from hpo.trainers.moving.schedules import Stages as StagesOfRate

BASE = 0.01


def seen(
    step: int = 0, gap: float | None = None, *, lr: float = 0.1, per_epoch: int = 4, epochs: int = 10
) -> Observation:
    """Before step `step`, base strength 0.01, highest lr 0.1; `gap` is train minus validation accuracy."""
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
        ("up", "cosine", (1.0, 8.5, 16.0)),
        ("down", "cosine", (16.0, 8.5, 1.0)),
        ("up", "steps", (1.0, 11.0, 16.0)),  # the third of four strengths begins in the middle
        ("down", "steps", (16.0, 6.0, 1.0)),
    ],
)
def test_ramp(direction: Any, shape: Any, multiples: tuple[float, ...]) -> None:
    """Factor 16 at the start, in the middle and at the end of 40 steps."""
    ramp = Ramp(direction=direction, shape=shape, factor=16.0)
    assert pytest.approx([BASE * m for m in multiples]) == [ramp(BASE, seen(step)) for step in (0, 20, 40)]


@pytest.mark.parametrize(
    ("direction", "shape", "to", "multiples"),
    [
        ("down", "linear", 0.0, (1.0, 0.5, 0.0)),
        ("down", "cosine", 0.0, (1.0, 0.5, 0.0)),
        ("down", "steps", 0.1, (1.0, 0.4, 0.1)),
        ("down", "geometric", 0.01, (1.0, 0.1, 0.01)),
        ("up", "linear", 3.0, (1.0, 2.0, 3.0)),
    ],
)
def test_ramp_to_an_end(direction: Any, shape: Any, to: float, multiples: tuple[float, ...]) -> None:
    """It begins with the strength as stated, in either direction, and may end with nothing."""
    ramp = Ramp(direction=direction, shape=shape, to=to)
    assert pytest.approx([BASE * m for m in multiples]) == [ramp(BASE, seen(step)) for step in (0, 20, 40)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"direction": "down", "to": 2.0}, "to = 2 is not down: below 1 for down, above 1 for up"),
        ({"direction": "up", "to": 1.0}, "to = 1 is not up"),
        ({"direction": "down", "to": 0.0}, "to = 0 is never reached by equal factors"),
        ({"direction": "up", "to": 2.0, "factor": 3.0}, "give `to` or `factor`, not both"),
    ],
)
def test_an_end_that_can_not_be_meant(given: dict[str, Any], said: str) -> None:
    """With what is allowed."""
    with pytest.raises(ValidationError, match=re.escape(said)):
        Ramp(**given)


@pytest.mark.parametrize(
    ("lr", "power", "multiple"), [(0.1, -1.0, 1.0), (0.05, -1.0, 0.5), (0.05, -2.0, 0.25), (0.0, -1.0, 0.0)]
)
def test_decay_coupled_to_the_learning_rate(lr: float, power: float, multiple: float) -> None:
    """A negative power falls with the rate, down to nothing."""
    assert pytest.approx(BASE * multiple) == FollowsLr(power=power)(BASE, seen(lr=lr))


@pytest.mark.parametrize(("step", "multiple"), [(10, 1 + 15 * 0.14644660940672624), (30, 1 + 15 * 0.8535533905932737)])
def test_cosine_ramp(step: int, multiple: float) -> None:
    """A quarter and three quarters of the way: (1 - cos(pi / 4)) / 2 and (1 + cos(pi / 4)) / 2."""
    assert BASE * multiple == pytest.approx(Ramp(direction="up", shape="cosine", factor=16.0)(BASE, seen(step)))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (2, "a" * 20 + "d" * 20),
        (4, "a" * 10 + "b" * 10 + "c" * 10 + "d" * 10),
        (7, "a" * 6 + "·" * 6 + "b" * 6 + "·" * 5 + "c" * 6 + "·" * 6 + "d" * 5),
    ],
)
def test_ramp_in_steps(levels: int, expected: str) -> None:
    """Of 40 steps, factor 4: the strengths a = 1, b = 2, c = 3, d = 4, and those between; down, the same backwards."""
    named = {1.0: "a", 2.0: "b", 3.0: "c", 4.0: "d"}
    for direction, strengths in (("up", expected), ("down", expected.translate(str.maketrans("abcd", "dcba")))):
        ramp = Ramp(direction=direction, shape="steps", factor=4.0, levels=levels)  # type: ignore[arg-type]
        moved = [round(ramp(BASE, seen(step)) / BASE, 9) for step in range(40)]
        assert strengths == "".join(named.get(strength, "·") for strength in moved)
        assert levels == len(set(moved))


@pytest.mark.parametrize("shape", ["geometric", "linear", "cosine"])
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


#: stage by stage of table 1 of "Adapting Regularization with Learning Rate …": weight decay of scheme 01 and of 02
SCHEMES = {
    "01": ([(0.01, 1.0), (0.001, 8.0), (0.0001, 16.0)], [0.0001, 0.0001, 0.0008, 0.0016, 0.0016]),
    "02": ([(0.1, 1.0), (0.001, 4.0), (0.0001, 8.0)], [0.0001, 0.0001, 0.0004, 0.0008, 0.0008]),
}
ANNEALING = Restarts(of=StagesOfRate(peak=0.1, factors=(1.0, 1e-1, 1e-2, 1e-3, 1e-4)), epochs=(250, 100, 100))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weight_decay_by_table(scheme: str) -> None:
    """All 15 rows: in each of the three phases the table of learning rates gives the printed weight decay."""
    table, printed = SCHEMES[scheme]
    policy = FollowsLr(table=tuple(table))
    ends = [50, 100, 150, 200, 250, 270, 290, 310, 330, 350, 370, 390, 410, 430, 450]
    for first, last, expected in zip([0, *ends], ends, printed * 3, strict=False):
        for step in (first * 1000, last * 1000 - 1):
            clock = Clock(step, 1000, 450)
            moment = Observation(clock, 1e-4, ANNEALING(clock), ANNEALING.peak, None, None)
            assert expected == pytest.approx(policy(0.5, moment), rel=1e-12)


@pytest.mark.parametrize(("share", "printed"), [(0.5, "50%"), (0.8, "80%"), (0.3, "30%")])
def test_gradient_sparsity_in_the_first_phase_alone(share: float, printed: str) -> None:
    """Schemes 21, 22, 23: nothing for 100 epochs, then so much for 150, then nothing in the other two phases."""
    policy = Stages(factors=(0.0, 1.0, 0.0), epochs=(100, 150, 200))
    for epoch, expected in [(0, "0%"), (99, "0%"), (100, printed), (249, printed), (250, "0%"), (449, "0%")]:
        clock = Clock(4 * epoch + 3, 4, 450)
        assert expected == f"{policy(share, Observation(clock, share, 0.1, 0.1, None, None)):.0%}"


@pytest.mark.parametrize(
    ("lr", "multiple"),
    [(0.5, 1.0), (0.1001, 1.0), (0.1, 3.0), (0.03, 3.0), (0.02, 0.0), (0.0, 0.0), (0.1 + 1e-17, 3.0), (0.2 * 0.1, 0.0)],
)
def test_follows_lr_by_table(lr: float, multiple: float) -> None:
    """Above all rows the stated strength, then the last row that is reached; a rounding error is no difference."""
    assert BASE * multiple == FollowsLr(table=((0.1, 3.0), (0.02, 0.0)))(0.5, seen(lr=lr))


def test_table_in_a_file() -> None:
    """Rows are lists there."""
    given = {"kind": "follows_lr", "table": [[0.1, 1], [0.001, 8]]}
    assert FollowsLr(table=((0.1, 1.0), (0.001, 8.0))) == TypeAdapter(Policy).validate_python(given)


def test_rises_sixteenfold_as_the_learning_rate_falls() -> None:
    """Learning rates 0.1 to 0.00001, power 1/2: the strength rises until the limit of 16."""
    rates = (0.1, 0.01, 0.001, 0.0001, 0.00001)
    strengths = [FollowsLr(power=0.5, limit=16.0)(BASE, seen(lr=lr)) / BASE for lr in rates]
    assert pytest.approx([1.0, 3.1622776601683795, 10.0, 16.0, 16.0]) == strengths


@pytest.mark.parametrize("power", [0.5, 1.0, -1.0])
def test_a_warm_up_is_no_fall(power: float) -> None:
    """From a rate of 0 up the strength is the stated one, and from the highest rate on it follows."""
    policy, warm_up = FollowsLr(power=power), Warmup(of=Constant(peak=0.1), steps=5)
    highest, factors = 0.0, []
    for step in range(8):
        clock = Clock(step, 4, 2)
        lr = warm_up(clock) * (0.5 if step == 7 else 1.0)
        highest = max(highest, lr)
        factors.append(policy(BASE, Observation(clock, BASE, lr, highest, None, None)) / BASE)
    assert [1.0] * 7 == factors[:7]
    assert pytest.approx(2**power) == factors[7]


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


def test_accuracy_gap_at_steps_of_several_minibatches() -> None:
    """At the first step at or after each multiple of 4, and once where a step passes two of them."""
    policy = AccuracyGap(factor=2.0, every=Duration(steps=4))
    scores = Score(0.0, 0.8), Score(0.0, 0.5)
    looks = {}
    for before, step in pairwise([0, 3, 6, 8, 9, 11, 20, 21]):
        clock = Clock(step, 12, 10, step - before)
        looks[step] = policy(BASE, Observation(clock, BASE, 0.1, 0.1, *scores)) != BASE
    assert {3: False, 6: True, 8: True, 9: False, 11: False, 20: True, 21: False} == looks


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [
        (0.5, 0.71, 0.02),  # above 0.2: raise
        (0.5, 0.69, 0.01),  # between: keep
        (0.5, 0.56, 0.01),
        (0.5, 0.54, 0.005),  # below 0.05: lower
        (0.5, 0.1, 0.005),
        (0.0, 9.0, 0.02),
    ],
)
def test_loss_gap(train: float, validation: float, expected: float) -> None:
    """Validation minus train loss, factor 2; the accuracies say the opposite."""
    clock = Clock(8, 4, 10)
    scores = Score(train, 0.5 + train - validation), Score(validation, 0.5)
    observation = Observation(clock, BASE, 0.1, 0.1, *scores)
    assert expected == LossGap(raise_above=0.2, lower_below=0.05, factor=2.0)(BASE, observation)


def test_loss_gap_answers_as_the_accuracy_gap_does() -> None:
    """Over 40 epochs with the same gap in both, cadence and bounds included; before the first evaluation, nothing."""
    options: dict[str, Any] = {"raise_above": 0.1, "lower_below": 0.0, "factor": 3.0, "limit": 20.0}
    options["every"] = Duration(epochs=2)
    strengths = [BASE, BASE]
    for step in range(160):
        gap = 0.3 if step < 60 else -0.3
        scores = (None, None) if step < 4 else (Score(1.0, 0.5 + gap), Score(1.0 + gap, 0.5))
        observation = Observation(Clock(step, 4, 40), BASE, 0.1, 0.1, *scores)
        policies = AccuracyGap(**options), LossGap(**options)
        strengths = [policy(strength, observation) for policy, strength in zip(policies, strengths, strict=True)]
        assert strengths[0] == strengths[1]
        assert step != 59 or pytest.approx(BASE * 20) == strengths[0]
    assert pytest.approx(BASE / 20) == strengths[0]


def test_gap_of_two_metrics() -> None:
    """Any two that are reported, one less the other; before the first evaluation, nothing."""
    policy = Gap(of="validation_loss", minus="train_accuracy", raise_above=0.2, lower_below=-0.1, factor=2.0)
    clock = Clock(8, 4, 10)

    def answer(loss: float, accuracy: float) -> float:
        scores = Score(9.0, accuracy), Score(loss, 9.0)
        return policy(BASE, Observation(clock, BASE, 0.1, 0.1, *scores))

    assert [2 * BASE, BASE / 2, BASE] == [answer(0.8, 0.5), answer(0.3, 0.5), answer(0.6, 0.5)]
    assert BASE == policy(BASE, Observation(clock, BASE, 0.1, 0.1, None, None))


def test_replay() -> None:
    """The recorded strength of each epoch of four steps, whatever strength is stated; then the last one."""
    policy = Replay(strengths=(0.5, 0.0, 2.0))
    expected = [*[0.5] * 4, *[0.0] * 4, *[2.0] * 32]
    assert expected == [policy(strength, seen(step, 0.3)) for step, strength in enumerate([7.0] * 40)]


@pytest.mark.parametrize("policy", [Ramp(direction="up", shape="steps", levels=10), AccuracyGap(factor=2.0)])
def test_a_trace_replayed(policy: Any) -> None:
    """Whatever moves once an epoch, its strengths at the ends of epochs replayed are the strengths of every step."""
    strength, moved = BASE, []
    for step in range(40):
        strength = policy(strength, seen(step, None if step < 4 else 0.3 - step / 60))
        moved.append(strength)
    assert len(set(moved)) > 3
    replay = Replay(strengths=tuple(moved[3::4]))
    assert moved == [replay(1.0, seen(step)) for step in range(40)]


@pytest.mark.parametrize(
    "policy",
    [
        Hold(),
        Ramp(direction="up"),
        Ramp(direction="down", shape="linear"),
        Stages(factors=(2.0, 1.0)),
        Ramp(direction="up", shape="cosine"),
        Ramp(direction="down", shape="steps"),
        FollowsLr(),
        FollowsLr(table=((0.05, 2.0), (0.01, 4.0))),
        LossGap(),
        Replay(strengths=(1.0, 0.5)),
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
        ({"kind": "ramp", "direction": "up", "shape": "steps", "levels": 1}, "greater than or equal to 2"),
        ({"kind": "loss_gap", "raise_above": 0.01, "lower_below": 0.02}, "must not exceed"),
        ({"kind": "follows_lr", "table": [[0.1, 1.0], [0.1, 2.0]]}, "must fall from row to row"),
        ({"kind": "follows_lr", "table": [[0.1, 1.0]], "power": 1.0}, "not both"),
        ({"kind": "follows_lr", "table": [[0.1, -1.0]]}, "greater than or equal to 0"),
        ({"kind": "follows_lr", "table": [[0.1]]}, "Field required"),
        ({"kind": "follows_lr", "table": []}, "at least 1 item"),
        ({"kind": "replay", "strengths": []}, "at least 1 item"),
        ({"kind": "replay", "strengths": [-1.0]}, "greater than or equal to 0"),
        ({"kind": "stages", "factors": ()}, "at least 1 item"),
        ({"kind": "gaps"}, "expected tags: 'hold', "),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    """What is wrong, or what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Policy).validate_python(given)
