"""What a referee would ask: of a study before it runs, and of its result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.report.verdict.compare import compare
from hpo.storage.rows import Cell
from hpo.study import StudySpec
from hpo.study.doubts import doubts
from hpo.study.file import parse
from tests.unit.report_samples import TRIAL, cell, confirm, search
from tests.unit.report_samples import study as sample

PENALIZED = TRIAL | {"regularizers": {"l2": {"kind": "l2", "strength": 0.01}}}


def study(searched: dict[str, Any], other: dict[str, Any] | None = None, **trial: Any) -> StudySpec:
    """Two arms: `a` searches one thing, `b` another or nothing."""
    claims = [{"text": "a is better", "greater": {"arm": "a", "than": "b"}}]
    arms = {"a": _arm(searched), "b": _arm(other or {})}
    protocol = {"confirm": {"seeds": 3}, "budget": {"trials": 4}}
    return parse({"name": "s", "trial": PENALIZED | trial, "arms": arms, "protocol": protocol, "claims": claims})


def _arm(search: dict[str, Any]) -> dict[str, Any]:
    return {"search": search} | ({"sampler": {"kind": "tpe"}} if "low" in str(search) else {})


RATES = {"lr.peak": {"values": [0.1, 0.2, 0.3]}}
STRENGTHS = {"regularizers.l2.strength": {"values": [0.0, 0.1, 0.2]}}


def test_a_rate_tuned_for_one_arm() -> None:
    """Said before anything runs, and in the report; not where both search it, or none does."""
    [line] = doubts(study(RATES, STRENGTHS))
    assert "the learning rate is searched in a (lr.peak) and fixed in b" in line
    [other] = doubts(study({}, RATES))
    assert "searched in b (lr.peak) and fixed in a" in other
    for alike in (study(RATES, RATES), study(STRENGTHS), study({})):
        assert [] == [*doubts(alike)]
    assert line in compare(study(RATES, STRENGTHS), []).doubts


def done(plan: StudySpec, name: str, best: Any, values: list[Any], *, seconds: float = 1.0) -> list[Cell]:
    """Arm `a` has tried the values, and `best` of them is confirmed; b has its only one."""
    cells = [
        replace(search("a", slot, 0.9 if value == best else 0.5, params={name: value}), seconds=seconds)
        for slot, value in enumerate(values)
    ]
    cells += [confirm("a", seed, 0.9 + seed / 1000, 0.9, slot=0, params={name: best}) for seed in range(3)]
    cells += [replace(search("b", 0, 0.8, params={}), seconds=6.0)]
    return cells + [confirm("b", seed, 0.8, 0.8, params={}) for seed in range(3)]


@pytest.mark.parametrize(
    ("searched", "values", "best", "end"),
    [
        (RATES["lr.peak"], [0.1, 0.2, 0.3], 0.3, "upper"),
        (RATES["lr.peak"], [0.1, 0.2, 0.3], 0.1, "lower"),
        (RATES["lr.peak"], [0.1, 0.2, 0.3], 0.2, None),
        ({"values": [0.1, 0.3]}, [0.1, 0.3], 0.3, None),  # of two, one is always at an end
        ({"low": 0.001, "high": 1.0, "log": True}, [0.01, 0.8], 0.8, "upper"),
        ({"low": 0.001, "high": 1.0, "log": True}, [0.01, 0.8], 0.01, None),
        ({"low": 0.1, "high": 1.0}, [0.12, 0.5], 0.12, "lower"),
    ],
)
def test_the_best_at_an_end(searched: dict[str, Any], values: list[float], best: float, end: str | None) -> None:
    """Of a list of three or more, or of a range, by its logarithm where that is searched."""
    plan = study({"lr.peak": searched}, {"lr.peak": {"values": [0.1]}})
    found = [
        line for line in compare(plan, done(plan, "lr.peak", best, values)).doubts if "may be a better one" in line
    ]
    said = f"a: the lr.peak that was chosen ({best}) is at the {end} end of what was searched"
    assert ([said] if end else []) == [line.split(":")[0] + ":" + line.split(":")[1] for line in found]


def test_nothing_lies_below_zero() -> None:
    """A strength of 0 is an end beyond which there is nothing."""
    plan = study(STRENGTHS)
    name = "regularizers.l2.strength"
    assert not any("end of" in line for line in compare(plan, done(plan, name, 0.0, [0.0, 0.1, 0.2])).doubts)
    assert any("upper end of" in line for line in compare(plan, done(plan, name, 0.2, [0.0, 0.1, 0.2])).doubts)


def test_configurations_within_the_noise() -> None:
    """By the spread of the confirm seeds on validation: 0.01, of a difference 0.0141, twice that is 2.83 points."""
    plan = sample(arms=("grid",), confirm={"seeds": 3})
    scores = {0.1: 0.90, 0.2: 0.88, 0.3: 0.875}
    cells = [search("grid", slot, score, params={"lr.peak": peak}) for slot, (peak, score) in enumerate(scores.items())]
    cells += [confirm("grid", seed, 0.89 + 0.01 * seed, 0.9, params={"lr.peak": 0.1}) for seed in range(3)]
    [line] = [line for line in compare(plan, cells).doubts if "luck" in line]
    assert line.endswith("3 of grid's 3 (2.83 points) finished configurations")
    wider = [replace(one, score=0.80) if one.slot == 2 else one for one in cells]
    assert not any("luck" in line for line in compare(plan, wider).doubts)


def test_epochs_that_take_longer() -> None:
    """Six seconds for two epochs of one arm, and nine for two of another; on one kind of device, and not at once."""
    plan = study(RATES, RATES)
    cells = [cell(arm, "search", 0, ended="finished", score=0.5, seconds=s) for arm, s in (("a", 9.0), ("b", 6.0))]
    [line] = [line for line in compare(plan, cells).doubts if "times as long" in line]
    assert line.startswith("1 epoch of a took 1.5 times as long as one of b")
    on = [replace(one, worker=name) for one, name in zip(cells, "xy", strict=True)]
    mixed = compare(plan, on, devices={"x": "cpu", "y": "cuda"})
    assert mixed.devices and not any("times as long" in line for line in mixed.doubts)
    brief = [replace(one, seconds=one.seconds / 3) for one in cells]
    assert not any("times as long" in line for line in compare(plan, brief).doubts)


FEEDBACK = {"l2": {"kind": "l2", "strength": 0.01, "policy": {"kind": "accuracy_gap"}}}


def test_feedback_is_not_judged_by_what_it_is_steered_by() -> None:
    """A claim on validation is refused, unless a part of its own steers; on test it is fair."""

    def table(metric: str, **data: Any) -> dict[str, Any]:
        claim = {"text": "x", "greater": {"arm": "a", "than": "b", "metric": metric}}
        trial = PENALIZED | {"data": {"kind": "digits", **data}}
        arms = {"a": {"trial": {"regularizers": FEEDBACK}}, "b": {}}
        return {"name": "s", "trial": trial, "arms": arms, "protocol": {"confirm": {"seeds": 2}}, "claims": [claim]}

    parse(table("test_accuracy"))
    parse(table("validation_accuracy", steer=0.1))
    with pytest.raises(StudyFileError, match=r"claims\.0\.greater\.metric: a policy of a reacts to validation"):
        parse(table("validation_accuracy"))
    searched = table("validation_accuracy")
    policies = {"kind": {"kind": "hold"}, "feedback": FEEDBACK["l2"]["policy"]}
    searched["arms"]["a"] = {"search": {"regularizers.l2.policy": {"values": policies}}}
    with pytest.raises(StudyFileError, match="a policy of a reacts to validation"):
        parse(searched)
    best = table("validation_accuracy")
    best["arms"]["a"] = {"trial": {"early_stopping": {"patience": 1, "score": "best"}}}
    with pytest.raises(StudyFileError, match="reacts to validation"):
        parse(best)
