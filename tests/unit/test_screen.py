"""A report on one screen: the verdict first, never longer than a screen, and what is left out is counted."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from hpo.report.render.screen import LINES, one_screen
from hpo.report.verdict.compare import compare
from hpo.report.verdict.results import Report
from tests.unit import test_settings
from tests.unit.report_samples import cell, confirm, search, study
from tests.unit.test_console import shown
from tests.unit.test_text import HOSTILE, sample, words

FURTHER = ("everything: hpo report sample --full", "the page with figures: hpo report sample -o DIR")


def large(arms: int, claims: int) -> Report:
    """So many arms, the last one the best, and claims about the first of them."""
    names = tuple(f"arm_{number}" for number in range(arms))
    stated = [
        {"text": f"{name} is better than {names[0]}", "greater": {"arm": name, "than": names[0]}}
        for name in names[1 : claims + 1]
    ]
    cells = [search(name, slot, 0.9 - slot / 10) for name in names for slot in range(3)]
    cells += [
        confirm(name, seed, 0.91, 0.6 + place / 100 + seed / 100)
        for place, name in enumerate(names)
        for seed in range(3)
    ]
    return compare(study(arms=names, confirm={"seeds": 3}, claims=stated), cells)


def test_the_verdict_comes_first() -> None:
    """The claim in plain words, then the arms, what that rests on, what weakens it, and what shows more."""
    text = shown(one_screen(sample(), FURTHER))
    parts = [
        "sample: A title",
        "UNDECIDED: ramp is better",
        "The test accuracy of ramp is 25.00 points lower than that of grid",
        "Test accuracy in percent, differences in points; 95 % intervals.",
        "arm tried test difference",
        "91.00 ± 2.48",
        "66.00 ± 120.47",
        "Rests on 3 seeds of each arm",
        "Compute: equal",
        "What weakens it",
        *FURTHER,
    ]
    assert sorted(parts, key=words(text).index) == parts
    for left_out in ("- Search:", "Test accuracy over seeds", "lr.peak = 0.1"):
        assert left_out not in text


def test_several_claims_have_one_answer() -> None:
    """It stands above them; of one claim the claim itself is the answer."""
    assert "None of the 3 claims is decided." in shown(one_screen(large(4, 3)))
    assert "It is not known" not in shown(one_screen(sample()))


@pytest.mark.parametrize(("arms", "claims"), [(2, 1), (4, 3), (8, 6), (8, 0), (12, 8), (40, 30)])
def test_it_is_one_screen(arms: int, claims: int) -> None:
    """At 80 columns, with as many doubts as there may be."""
    long = (
        "a doubt that takes two lines of a terminal, since it says at length what a referee would ask of it; so there"
    )
    report = replace(large(arms, claims), doubts=(long,) * 7)
    text = shown(one_screen(report, FURTHER))
    assert len(text.splitlines()) <= LINES
    assert max(map(cell_len, text.splitlines())) <= 80


def test_what_is_left_out_is_counted() -> None:
    """Arms that no claim is about give way, but for the baseline and the best; so do claims and doubts."""
    text = shown(one_screen(replace(large(40, 9), doubts=("one", "two", "three", "four", "five"))))
    assert "32 more arms: --full" in text
    assert "3 more claims: --full" in text
    shown_arms = re.findall(r"^(arm_\d+) ", text, re.MULTILINE)
    assert [f"arm_{number}" for number in range(8)] == shown_arms
    assert re.search(r"What weakens it \(\d more: --full\):\n- one", text)
    best = shown(one_screen(large(40, 1)))
    assert {"arm_0", "arm_1", "arm_39"} <= set(re.findall(r"^(arm_\d+) ", best, re.MULTILINE))


def test_what_is_not_done_stands_on_top() -> None:
    """Its claims are so far only, and of many arms that are not done the first are named."""
    names = tuple(f"arm_{number}" for number in range(6))
    planned = [cell(name, "search", 0, state="planned") for name in names]
    claims = [{"text": "t", "greater": {"arm": "arm_1", "than": "arm_0"}}]
    text = shown(one_screen(compare(study(arms=names, confirm={"seeds": 2}, claims=claims), planned)))
    assert text.startswith("UNFINISHED")
    assert "UNDECIDED SO FAR: t" in text
    assert "3 more lines: --full" in text
    assert "Nothing has been measured yet" in text


def test_settings_are_shown_together() -> None:
    """In place of every arm in every setting there is one line for each arm over all of them."""
    text = words(shown(one_screen(test_settings.report())))
    assert "Over all settings, against fixed in the same setting" in text
    assert "falls 3 of 3" in text
    assert "the 6 arms setting by setting: --full" in text
    assert "falls_large" not in text.partition("Over all settings")[2].partition("Rests on")[0]


def test_a_users_text_is_text() -> None:
    """Brackets come out as they were written, and control characters as something that shows."""
    text = shown(one_screen(sample(title=HOSTILE, text=HOSTILE)))
    assert 2 == words(text).count("[red]a|b[/red] *c* `d` <e> # f ␛[31m␇ [g](h) \\|")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
