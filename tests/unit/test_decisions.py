"""What tests decide about claims: differences, none that matters, and their number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from hpo.evidence.decisions import Assessment, Decision, assess, decide
from hpo.study import Claim

BASE = dict.fromkeys(range(8), 0.90)


def claim(side: str = "greater", matters: float | None = None, **more: Any) -> Claim:
    """A claim that compares a with b."""
    given = {"text": "a is what is said of it", side: {"arm": "a", "than": "b", "metric": "test_accuracy", **more}}
    return Claim.model_validate(given | ({} if matters is None else {"matters": matters}))


def shifted(by: float, spread: float) -> dict[int, float]:
    """Values that differ from `BASE` by `by` on average, with this standard deviation."""
    noise = np.random.default_rng(0).normal(size=8)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    return {seed: BASE[seed] + by + spread * float(one) for seed, one in enumerate(noise)}


def answer(claim: Claim, values: dict[int, float], *, anytime: bool = False) -> str | None:
    return decide([claim], [assess(claim, values, BASE, anytime=anytime)])[0].answer


def test_two_one_sided_tests() -> None:
    """The larger of two p values of scipy's one-sided t tests, against minus and plus 0.01."""
    values = shifted(0.002, 0.01)
    differences = [values[seed] - BASE[seed] for seed in BASE]
    expected = max(
        ttest_1samp(differences, -0.01, alternative="greater").pvalue,
        ttest_1samp(differences, 0.01, alternative="less").pvalue,
    )
    found = assess(claim("equal", within=0.01), values, BASE, anytime=False)
    assert pytest.approx(expected) == found.p_within == found.p
    assert pytest.approx(expected) == assess(claim(matters=0.01), values, BASE, anytime=False).p_within


@pytest.mark.parametrize("anytime", [False, True])
@pytest.mark.parametrize(
    ("by", "spread", "said"),
    [
        (0.0005, 0.001, "supported"),
        (0.02, 0.003, "contradicted"),
        (-0.02, 0.003, "contradicted"),
        (0.009, 0.01, None),
        (0.012, 0.01, None),
    ],
)
def test_equal(by: float, spread: float, said: str | None, anytime: bool) -> None:
    """Within 0.01, beyond it on either side, and what does not tell."""
    assert said == answer(claim("equal", within=0.01), shifted(by, spread), anytime=anytime)


@pytest.mark.parametrize("anytime", [False, True])
@pytest.mark.parametrize(
    ("by", "spread", "said"),
    [
        (0.0002, 0.001, "no difference"),
        (0.006, 0.001, "supported"),
        (-0.006, 0.001, "contradicted"),
        (0.0, 0.03, None),
    ],
)
def test_what_matters(by: float, spread: float, said: str | None, anytime: bool) -> None:
    """A difference that is there is one, however small; without one, it is known that none matters, or it is not."""
    assert said == answer(claim(matters=0.01), shifted(by, spread), anytime=anytime)
    without = None if said == "no difference" else said
    assert without == answer(claim(), shifted(by, spread), anytime=anytime)


def test_what_matters_is_counted_from_the_margin() -> None:
    """More than 0.01 better, where 0.003 more or less than that is all the same."""
    of_margin = claim(by=0.01, matters=0.003)
    assert "no difference" == answer(of_margin, shifted(0.0103, 0.001))
    assert "contradicted" == answer(of_margin, shifted(0.0003, 0.001))
    assert "supported" == answer(claim("less", by=0.01, matters=0.003), shifted(-0.02, 0.001))


def test_a_few_equal_values_are_not_called_equal() -> None:
    """Five that are the same show no spread; six have a sign test."""
    same = claim("equal", within=0.01)
    for n, said in ((5, None), (6, "supported")):
        own = dict.fromkeys(range(n), 0.901)
        assert said == decide([same], [assess(same, own, BASE, anytime=False)])[0].answer


def test_answers_are_corrected_for_the_number_of_claims() -> None:
    """By Holm: the surest at a third of the level, the next at half of it; the first that fails ends it."""
    claims = [claim("equal", within=0.01), claim("equal", within=0.01), claim("equal", within=0.01)]
    tests = [Assessment(None, 1.0, p) for p in (0.02, 0.03, 0.001)]
    assert [
        Decision("supported", pytest.approx(0.04)),  # type: ignore[arg-type]
        Decision("supported", pytest.approx(0.04)),  # type: ignore[arg-type]
        Decision("supported", pytest.approx(0.003)),  # type: ignore[arg-type]
    ] == decide(claims, tests)
    weaker = [Assessment(None, 1.0, p) for p in (0.026, 0.03, 0.001)]
    assert [None, None, "supported"] == [found.answer for found in decide(claims, weaker)]


def test_a_claim_without_a_value_counts() -> None:
    """One that can't be tested yet may be decided later: the others are held to the stricter level already."""
    claims = [claim("equal", within=0.01)] * 2
    found = decide(claims, [Assessment(None, None, None), Assessment(None, 1.0, 0.03)])
    assert [None, None] == [one.answer for one in found]
    assert (None, pytest.approx(0.06)) == (found[0].p_corrected, found[1].p_corrected)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"equal": {"arm": "a", "than": "b", "within": 0.01}, "matters": 0.01}, "leave it out"),
        ({"equal": {"arm": "a", "than": "b", "within": 0.0}}, "greater than 0"),
        ({"equal": {"arm": "a", "than": "b"}}, "within"),
        ({}, "exactly one of `greater`, `less` and `equal`"),
        ({side: {"arm": "a", "than": "b"} for side in ("greater", "less")}, "exactly one of"),
    ],
)
def test_claims_that_are_none(given: dict[str, Any], said: str) -> None:
    """Two ways of saying what matters, nothing, or two claims in one."""
    with pytest.raises(ValueError, match=said):
        Claim.model_validate({"text": "x", **given})
