"""The verdict in plain words: what it says of every kind of answer."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from hpo.report.numbers import readable
from hpo.report.verdict.compare import compare
from hpo.report.verdict.differing import differing, flat, values
from hpo.report.verdict.plain import answer, in_plain_words
from hpo.report.verdict.results import Report, Verdict
from tests.unit.report_samples import confirm, search, study


def judged(ramp: list[float], **claim: Any) -> Report:
    """The grid reaches 0.90 to 0.94 on test under its seeds, and `ramp` as given."""
    given = claim or {"greater": {"arm": "ramp", "than": "grid"}}
    spec = study(confirm={"seeds": len(ramp)}, claims=[{"text": "ramp beats grid", **given}])
    cells = [search(arm, slot, 0.9 - slot / 10) for arm in ("grid", "ramp") for slot in range(3)]
    cells += [confirm("grid", seed, 0.9, 0.9 + seed / 100) for seed in range(len(ramp))]
    return compare(spec, cells + [confirm("ramp", seed, 0.9, test) for seed, test in enumerate(ramp)])


def test_supported() -> None:
    """Said with its size and how sure that is."""
    report = judged([0.95, 0.961, 0.97, 0.979, 0.99])
    assert "Yes: ramp beats grid." == answer(report)
    assert in_plain_words(report.claims[0]).startswith(
        "The test accuracy of ramp is 5.00 points higher than that of grid; with 95 % confidence the difference lies "
        "between +4.91 and +5.09 points"
    )


def test_contradicted() -> None:
    """What is lower is called lower."""
    report = judged([0.85, 0.861, 0.87, 0.879, 0.89])
    assert "It does not hold that ramp beats grid." == answer(report)
    assert "is 5.00 points lower than that of grid" in in_plain_words(report.claims[0])


def test_not_known() -> None:
    """The question is left open, with what the answer may be."""
    report = judged([0.85, 0.97, 0.92])
    assert "It is not decided whether ramp beats grid." == answer(report)
    assert "may be anything between -13.35 and +14.01 points, which leaves" in in_plain_words(report.claims[0])


def test_one_of_many_that_is_not_sure_enough() -> None:
    """Its interval excludes 0, but not by enough for so many claims, and that is said."""
    [claim] = judged([0.85, 0.97, 0.92]).claims
    assert claim.difference is not None
    narrow = replace(claim, difference=replace(claim.difference, low=0.001, high=0.09, p=0.04), p_corrected=0.12)
    assert in_plain_words(narrow).endswith(
        "lies between +0.10 and +9.00 points, which is not sure enough among so many claims."
    )


def test_no_difference_that_matters() -> None:
    """It names what would matter."""
    report = judged([0.9, 0.911, 0.92, 0.929, 0.94], greater={"arm": "ramp", "than": "grid"}, matters=0.01)
    assert "It does not hold that ramp beats grid by as much as would matter." == answer(report)
    [claim] = report.claims
    assert "the difference is smaller than the 1.00 points that would matter in this study." in in_plain_words(claim)
    assert re.search(
        r"\(p (= 0\.0\d+|< 0\.001) for one of 1\.00 or more\); its 90 % interval lies within", claim.reason
    )


def test_no_trials_yet() -> None:
    """Nothing is said of what has not been measured."""
    claims = [{"text": "t", "greater": {"arm": "ramp", "than": "grid"}}]
    report = compare(study(confirm={"seeds": 2}, claims=claims), [])
    assert "Nothing has been measured yet that could be compared." == in_plain_words(report.claims[0])


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["supported", "supported"], "Both claims hold."),
        (["contradicted"] * 2, "Neither claim holds."),
        (["undecided"] * 3, "None of the 3 claims is decided."),
        (["supported", "undecided", "undecided"], "Of 3 claims 1 holds and 2 are not decided."),
        (
            ["contradicted", "supported", "no difference", "incomplete"],
            "Of 4 claims 1 holds, 1 does not hold, 1 comes to no difference that matters and 1 can't be judged, for "
            "trials have failed.",
        ),
    ],
)
def test_several_claims(verdicts: list[Verdict], expected: str) -> None:
    """They are counted by what they came to."""
    [claim] = judged([0.95, 0.96]).claims
    report = replace(judged([0.95, 0.96]), claims=tuple(replace(claim, verdict=verdict) for verdict in verdicts))
    assert expected == answer(report)


def test_without_claims() -> None:
    """The best arm, and what can be told from the baseline."""
    spec = study(confirm={"seeds": 5})
    assert "There is nothing to say yet." == answer(compare(spec, []))
    cells = [search(arm, slot, 0.9 - slot / 10) for arm in ("grid", "ramp") for slot in range(3)]
    cells += [confirm("grid", seed, 0.9, 0.9 + seed / 100) for seed in range(5)]
    sure = cells + [confirm("ramp", seed, 0.9, 0.95 + seed / 100 + (seed % 2) / 500) for seed in range(5)]
    unsure = cells + [confirm("ramp", seed, 0.9, 0.93 - seed / 100) for seed in range(5)]
    assert "ramp has the highest test accuracy, 97.08 %; ramp is clearly better than grid." == answer(
        compare(spec, sure)
    )
    assert "grid has the highest test accuracy, 92.00 %; no arm can be told from grid." == answer(compare(spec, unsure))


def test_where_configurations_differ() -> None:
    """Searched values and an arm's own; what all arms have in common is left out."""
    report = judged([0.95, 0.96])
    grid, ramp = report.arms
    assert [] == differing(report.arms), "both chose the same"
    other = replace(ramp, trials={1: {**ramp.trials[1], "lr.peak": 0.3}, 2: {**ramp.trials[1], "lr.peak": 0.2}})
    assert ["lr.peak"] == differing([grid, other])
    assert [0.3, 0.2] == values(other, "lr.peak")
    assert [2] == values(other, "epochs"), "once, where all searches agree"
    assert {"a.b.c": 1, "d": [2]} == flat({"a": {"b": {"c": 1}, "e": {}}, "d": [2]})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0981598659692294, "0.0982"),
        (6.330345976991641e-05, "6.33e-05"),
        (12345.678, "12346"),
        (10.0, "10"),
        (1e9, "1e+09"),
        (128, "128"),
        (True, "true"),
        ([0.12345, 64], "[0.123, 64]"),
        ("cosine", "cosine"),
    ],
)
def test_numbers_that_people_read(value: Any, expected: str) -> None:
    """Three digits that count."""
    assert expected == readable(value)
