"""Several searches of every arm: what is planned, what a test counts, and which seeds there are."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.evidence.statistics import paired
from hpo.plan import changes, first_cells
from hpo.report.verdict.compare import compare
from hpo.seeds import derive
from hpo.storage.rows import Cell, PlannedCell
from hpo.study import StudySpec
from hpo.study.file import parse
from hpo.study.protocol import Protocol
from tests.unit.report_samples import cell
from tests.unit.test_plan import GRID, TPE, study
from tests.unit.test_plan import done as ended


def several(searches: int = 3, **protocol: Any) -> StudySpec:
    """A grid and a sampled arm."""
    given = {"budget": {"epochs": 40}, "confirm": {"top": 1, "seeds": 2}} | protocol
    return study({"g": GRID, "t": TPE}, searches=searches, **given)


def test_every_search_is_whole() -> None:
    """One after the other, with slots and seeds of their own, which are the same in every arm."""
    plan = several()
    planned = first_cells(plan)
    counts = Counter((one.arm, one.search) for one in planned)
    assert {("g", 1): 3, ("t", 1): 4, ("g", 2): 3, ("t", 2): 4, ("g", 3): 3, ("t", 3): 4} == counts
    assert [1, 2, 3] == list(dict.fromkeys(one.search for one in planned))
    assert len(planned) == len({(one.arm, one.slot) for one in planned})
    seeds = {arm: {one.search: one.seed for one in planned if one.arm == arm} for arm in ("g", "t")}
    assert seeds["g"] == seeds["t"] and 3 == len(set(seeds["g"].values()))


def test_no_seed_twice_in_a_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed that comes out a second time is left out; those before it stay what they are."""
    monkeypatch.setattr("hpo.study.protocol.SEEDS", 256)
    protocol = Protocol(seed=12345)  # drawn by no other test: what was drawn is remembered
    seeds = [protocol.seed_of("confirm", 1, index) for index in range(200)]
    assert (200, True) == (len(set(seeds)), max(seeds) < 256)
    drawn = [derive(12345, "confirm", 1, index) % 256 for index in range(200)]
    assert len(set(drawn)) < 200, "or there was nothing to leave out"
    assert list(dict.fromkeys(drawn)) == seeds[: len(set(drawn))]


def test_each_search_is_confirmed_by_itself() -> None:
    """What it has chosen itself, under seeds that no other search has, as soon as it has ended."""
    plan = several()
    best = {("g", 1): 0, ("g", 2): 2, ("g", 3): 1}
    cells = []
    for one in first_cells(plan):
        place = one.slot % 10_000
        is_best = best.get((one.arm, one.search), 0) == place
        cells.append(ended(one, score=0.9 if is_best else 0.5))
    added = changes(plan, cells).added
    assert [(arm, search) for arm in ("g", "t") for search in (1, 2, 3) for _ in range(2)] == [
        (one.arm, one.search) for one in added
    ]
    chosen = {one.search: one.params for one in added if one.arm == "g"}
    assert {1: {"lr.peak": 0.1}, 2: {"lr.peak": 0.3}, 3: {"lr.peak": 0.2}} == chosen
    seeds = [[one.seed for one in added if one.arm == arm] for arm in ("g", "t")]
    assert seeds[0] == seeds[1] and 6 == len(set(seeds[0]))
    open_second = [replace(one, state="leased", ended=None) if one.search == 2 else one for one in cells]
    assert {1, 3} == {one.search for one in changes(plan, open_second).added}


def test_what_pruning_saves_stays_with_its_search() -> None:
    """An epoch budget is that of each search."""
    plan = several(2, confirm=None)
    cells = [ended(one) for one in first_cells(plan) if one.arm == "t"]
    cells = [replace(one, ended="pruned", epochs=1) if one.slot in (0, 1) else one for one in cells]
    assert [(1, 4)] == [(one.search, one.slot) for one in changes(plan, cells, ["t"]).added]


PEAKS = [0.1, 0.2, 0.3, 0.4]
"""What the first, the second, … search chooses."""


def measured(scores: dict[str, list[list[float]]]) -> list[Cell]:
    """Arm -> search -> what its choice measured under each confirm seed; the search itself, of one trial each."""
    cells = []
    for arm, searches in scores.items():
        for search, values in enumerate(searches):
            slot, params = 10_000 * search, {"lr.peak": PEAKS[search]}
            cells.append(cell(arm, "search", slot, ended="finished", score=0.5, params=params))
            cells += [
                cell(
                    arm,
                    "confirm",
                    slot,
                    seed=100 * search + place,
                    ended="finished",
                    score=value,
                    validation_accuracy=value,
                    test_accuracy=value,
                    params=params,
                )
                for place, value in enumerate(values)
            ]
    return cells


SCORES = {
    "a": [[0.90, 0.92], [0.80, 0.84], [0.95, 0.97], [0.85, 0.83]],
    "b": [[0.88, 0.90], [0.81, 0.79], [0.90, 0.94], [0.84, 0.80]],
}


def judged(searches: int = 4, scores: dict[str, list[list[float]]] = SCORES) -> Any:
    claims = [{"text": "a is better", "greater": {"arm": "a", "than": "b"}}]
    one = {"search": {"lr.peak": {"values": PEAKS}}}
    plan = study({"a": one, "b": one}, searches=searches, confirm={"seeds": 2})
    return compare(StudySpec.model_validate(plan.model_dump() | {"claims": claims}), measured(scores))


def test_the_unit_is_the_search() -> None:
    """Four means of two seeds make four pairs, not eight."""
    report = judged()
    means = {arm: {place: fmean(own) for place, own in enumerate(of)} for arm, of in SCORES.items()}
    [claim] = report.claims
    expected = paired(means["a"], means["b"])
    assert claim.difference == expected and expected is not None and 4 == expected.n
    assert "over 4 paired searches" in claim.reason and "chose" not in claim.reason
    assert ("search", 4, 4) == (report.compared_by, report.arms[0].test.n, len(report.arms[0].configurations))
    assert [{"lr.peak": peak} for peak in PEAKS] == list(report.arms[0].configurations.values())
    assert {"lr.peak": pytest.approx(0.3)} == report.arms[0].configuration, "the best on validation stands for the arm"


def test_a_search_counts_once_it_is_whole() -> None:
    """The mean of some of its seeds would not be compared with that of the same ones."""
    scores = {"a": [*SCORES["a"][:3], SCORES["a"][3][:1]], "b": SCORES["b"]}
    [claim] = judged(scores=scores).claims
    assert claim.difference is not None and 3 == claim.difference.n


def test_where_the_spread_comes_from() -> None:
    """By the textbook: the mean of the variances within; the variance of the means less its share of those."""
    found = judged().arms[0].spread
    within = fmean([0.0002, 0.0008, 0.0002, 0.0002])
    means = [0.91, 0.82, 0.96, 0.84]
    between = sum((mean - fmean(means)) ** 2 for mean in means) / 3 - within / 2
    assert found is not None
    assert (pytest.approx(within**0.5), pytest.approx(between**0.5)) == (found.seeds, found.searches)


def test_one_search_says_what_it_is_about() -> None:
    """Not about the arms, but about what was chosen; a rule says so, and the claim does."""
    scores = {arm: own[:1] for arm, own in SCORES.items()}
    report = judged(1, scores)
    assert any(rule.startswith("One search: ") for rule in report.rules)
    assert "This is about what one search of a and one of b chose." in report.claims[0].reason
    assert 2 == report.claims[0].difference.n and None is report.arms[0].spread


def test_seeds_are_derived() -> None:
    """Studies with different ones share none, in neither phase and in no search."""
    used = [
        {
            Protocol(seed=seed, searches=3).seed_of(phase, search, index)
            for phase in ("search", "confirm")
            for search in (1, 2, 3)
            for index in range(20)
        }
        for seed in range(40)
    ]
    assert 40 * 120 == len(set().union(*used))
    assert all(0 <= seed < 2**31 for own in used for seed in own)
    counted = Protocol(seed=7, seeding="counted")
    assert [9, 1009] == [counted.seed_of(phase, 1, 2) for phase in ("search", "confirm")]


def test_counted_seeds_are_for_one_search() -> None:
    with pytest.raises(ValueError, match="several searches need seeds that are derived"):
        Protocol(seeding="counted", searches=2)


def test_all_searches_count_in_the_limit() -> None:
    """A hundred searches of a few thousand trials are too many together; five are not."""
    several(5, budget={"trials": 5000})
    with pytest.raises(StudyFileError, match="trials in all, at most 200,000 are allowed"):
        several(100, budget={"trials": 5000})


def test_a_slot_tells_its_search() -> None:
    """Slots are stored: what they mean stays."""
    assert [1, 1, 2, 3] == [PlannedCell("a", "search", slot, 0, None).search for slot in (0, 9_999, 10_000, 20_000)]


def test_a_split_for_every_search() -> None:
    """The same for all arms, another one for each search; without it, the file's for all."""
    plan = several(vary_split=True)
    held_out_by = {
        arm: [plan.trial_of(arm, {"lr.peak": 0.1}, search).data.split_seed for search in (1, 2, 3)]
        for arm in ("g", "t")
    }
    assert held_out_by["g"] == held_out_by["t"] and 3 == len(set(held_out_by["g"]))
    assert 42 == several().trial_of("g", {"lr.peak": 0.1}, 2).data.split_seed
    with pytest.raises(StudyFileError, match="give several `searches`"):
        several(1, vary_split=True)


def test_what_varies_from_seed_to_seed() -> None:
    """Named sources follow each confirm seed; the others are drawn alike for all of them, and in every arm."""

    def drawn(*vary: str) -> list[dict[str, Any]]:
        plan = several(confirm={"top": 1, "seeds": 2, "vary": vary})
        trials = [plan.trial_of(arm, {"lr.peak": 0.1}, 2, seed) for arm in ("g", "t") for seed in (7, 8)]
        assert trials[:2] == trials[2:]
        return [
            {"init": each.init_seed, "order": each.order_seed, "split": each.data.split_seed} for each in trials[:2]
        ]

    def alike(source: str) -> int:
        return Protocol().seed_of(source, 2, 0)

    own = {"init": None, "order": None, "split": 42}  # the trial's seed, and the file's split
    assert [own, own] == drawn("init", "order")
    assert [own | {"order": alike("order")}] * 2 == drawn("init")
    assert [own | {"init": alike("init")}] * 2 == drawn("order")
    both = {"init": alike("init"), "order": alike("order")}
    assert [both | {"split": 7}, both | {"split": 8}] == drawn("split")
    plan = several(confirm={"top": 1, "seeds": 2, "vary": ["split"]})
    assert 42 == plan.trial_of("g", {"lr.peak": 0.1}, 2).data.split_seed, "the search is as it was"


@pytest.mark.parametrize("vary", [[], ["init", "init"], ["luck"]])
def test_what_may_vary(vary: list[str]) -> None:
    """Something, each once, and of what there is."""
    with pytest.raises(StudyFileError, match=r"confirm\.vary"):
        several(confirm={"top": 1, "seeds": 2, "vary": vary})


def test_a_moment_is_not_compared_with_itself() -> None:
    """Nine tenths of two epochs are the last one: all differences would be nothing."""
    given = json.loads(several(1).model_dump_json())
    against = {"arm": "g", "than": "t", "at": 0.99}
    equal = {"arm": "g", "than": "t", "metric": "validation_loss", "within": 0.1, "against": against}
    claim = {"text": "x", "equal": equal}
    with pytest.raises(StudyFileError, match="both moments are the same epoch"):
        parse(given | {"claims": [claim]})
