"""The verdict of a study, on cells worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from scipy.special import stdtr

from hpo.report.verdict.compare import compare
from hpo.report.verdict.results import ArmResult, PhaseResult, Report
from hpo.storage.rows import Cell, CurvePoint
from hpo.words.failure import what_to_do
from tests.unit.report_samples import cell, confirm, diverged, search, study


def arm_of(report: Report, name: str) -> ArmResult:
    return next(arm for arm in report.arms if arm.name == name)


def searched(*arms: str) -> list[Cell]:
    """A complete search phase in which the second configuration is the best."""
    return [search(arm, slot, score) for arm in arms for slot, score in enumerate([0.7, 0.9, 0.8])]


def confirmed(arm: str, tests: list[float]) -> list[Cell]:
    return [confirm(arm, seed, 0.9, test, params={"lr.peak": 0.2}) for seed, test in enumerate(tests, start=100)]


def claim(direction: str = "greater", **comparison: Any) -> dict[str, Any]:
    return {"text": "ramp is better", direction: {"arm": "ramp", "than": "grid"} | comparison}


def test_a_complete_study() -> None:
    """Search best, spending, counts, summaries and the paired difference to the baseline."""
    cells = searched("grid", "ramp") + confirmed("grid", [0.80, 0.82]) + confirmed("ramp", [0.85, 0.89])
    report = compare(study(confirm={"seeds": 2}), cells)
    ramp = arm_of(report, "ramp")
    assert (3, 0.9, {"lr.peak": 0.2}) == (ramp.tried, ramp.search_best, ramp.configuration)
    assert PhaseResult(epochs=6, finished=3, pruned=0, diverged=0, too_large=0, failed=0, open=0) == ramp.search
    assert PhaseResult(epochs=4, finished=2, pruned=0, diverged=0, too_large=0, failed=0, open=0) == ramp.confirm
    [(loss_on_test, loss)] = ramp.also
    assert ramp.validation is not None and ramp.test is not None and loss is not None
    assert "test_loss" == loss_on_test.name
    assert (0.9, 2) == (ramp.validation.mean, ramp.validation.n)
    assert pytest.approx((0.87, 0.89, 0.85)) == (ramp.test.mean, ramp.test.best, ramp.test.worst)
    assert pytest.approx((0.13, 0.11)) == (loss.mean, loss.best)
    assert ramp.difference is not None
    assert pytest.approx((2, 0.06)) == (ramp.difference.n, ramp.difference.difference)
    assert arm_of(report, "grid").difference is None
    assert ("grid", "test_accuracy", (), ()) == (
        report.baseline,
        report.metric.name,
        report.unfinished,
        report.failures,
    )


def test_the_best_is_the_mean_of_its_repeats_and_ties_go_to_the_earlier() -> None:
    """One lucky repeat does not win; of two equal configurations the first planned does."""
    scores = {0: [0.75, 0.25], 1: [0.50, 0.75], 2: [0.625, 0.625]}
    cells = [search("grid", slot, score, seed=seed) for slot, both in scores.items() for seed, score in enumerate(both)]
    grid = arm_of(compare(study(arms=("grid",), repeats=2), cells), "grid")
    assert (3, {"lr.peak": 0.2}) == (grid.tried, grid.configuration)
    assert 0.625 == grid.search_best


def test_pruned_and_diverged_trials_do_not_compete() -> None:
    """Whatever their accuracy was when they ended."""
    cells = [
        search("grid", 0, 0.99, "pruned"),
        search("grid", 1, 0.98, "diverged"),
        search("grid", 2, 0.60),
        cell("grid", "search", 3, state="failed"),
    ]
    grid = arm_of(compare(study(arms=("grid",)), cells), "grid")
    assert (3, 0.6, {"lr.peak": 0.3}) == (grid.tried, grid.search_best, grid.configuration)
    assert PhaseResult(epochs=8, finished=1, pruned=1, diverged=1, too_large=0, failed=1, open=0) == grid.search


def test_an_arm_in_which_nothing_finished() -> None:
    """Only diverged and pruned trials: there is nothing to choose, and the report says so."""
    cells = searched("grid") + [search("ramp", 0, None, "diverged"), search("ramp", 1, 0.5, "pruned")]
    report = compare(study(confirm={"seeds": 2}), cells + confirmed("grid", [0.8, 0.9]))
    ramp = arm_of(report, "ramp")
    assert (None, None, None) == (ramp.configuration, ramp.search_best, ramp.test)
    assert () == report.unfinished
    assert "ramp: no configuration finished, so the arm has no result" in report.failures


def test_of_several_confirmed_validation_chooses_not_test() -> None:
    """Rank 1 is better on validation and rank 0 on test: rank 1 represents the arm."""
    cells = searched("grid") + [
        confirm("grid", seed, validation, test, slot=rank, params={"lr.peak": peak})
        for rank, peak, validation, test in [(0, 0.2, 0.90, 0.95), (1, 0.3, 0.91, 0.85)]
        for seed in (100, 101)
    ]
    grid = arm_of(compare(study(arms=("grid",), confirm={"top": 2, "seeds": 2}), cells), "grid")
    assert grid.test is not None
    assert ({"lr.peak": 0.3}, 0.85, 2) == (grid.configuration, grid.test.mean, grid.test.n)
    assert (8, 0.9) == (grid.confirm.epochs, grid.search_best)


def test_a_diverged_confirm_seed_counts_as_guessing_and_has_no_loss() -> None:
    """It counts in both accuracies and in their pairs; the smaller n of the loss shows that it's left out."""
    report = compare(
        study(confirm={"seeds": 3}, claims=[claim("less", metric="test_loss")]),
        searched("grid", "ramp")
        + confirmed("grid", [0.8, 0.8, 0.8])
        + confirmed("ramp", [0.9, 0.9])
        + [diverged("ramp", 102, params={"lr.peak": 0.2})],
    )
    ramp = arm_of(report, "ramp")
    [(_, loss)] = ramp.also
    assert ramp.test is not None and ramp.validation is not None and loss is not None
    assert pytest.approx((3, 1.9 / 3, 0.1)) == (ramp.test.n, ramp.test.mean, ramp.test.worst)
    assert pytest.approx((3, 1.9 / 3)) == (ramp.validation.n, ramp.validation.mean)
    assert pytest.approx((2, 0.1)) == (loss.n, loss.mean)
    assert ramp.difference is not None
    assert pytest.approx((3, -0.5 / 3)) == (ramp.difference.n, ramp.difference.difference)
    assert "ramp: confirm phase, 1 of 3 trials diverged: 33 % [1, 91]" in report.failures
    assert "Left out: ramp has no test loss under 1 seed that diverged or overflowed;" in report.claims[0].reason
    assert any("diverged counts with an accuracy of 0.1, and is left out of losses." in rule for rule in report.rules)


def test_without_a_confirm_phase_the_repeats_are_compared_on_validation() -> None:
    """Test stays empty, and the report says how optimistic that is."""
    scores = {"grid": [0.7, 0.8], "ramp": [0.9, 0.9]}
    cells = [search(arm, 1, score, seed=seed) for arm in scores for seed, score in enumerate(scores[arm])]
    report = compare(study(repeats=2, claims=[claim(metric="validation_accuracy")]), cells)
    ramp = arm_of(report, "ramp")
    assert ramp.validation is not None and ramp.difference is not None
    assert (2, 0.9, None, None) == (ramp.validation.n, ramp.validation.mean, ramp.test, ramp.also[0][1])
    assert "validation_accuracy" == report.metric.name
    assert pytest.approx(0.15) == ramp.difference.difference
    assert any("No confirm phase" in rule for rule in report.rules)
    assert ((), "undecided") == (report.unfinished, report.claims[0].verdict)


ABOUT = "This is about what one search of ramp and one of grid chose."
"""What a claim on arms that search says of them."""
OF_EQUAL = "A new study would need {} seeds, if all differ by as much."


# Differences over three seeds of +0.05, +0.06, +0.07: 0.06 ± 4.3027 * 0.01 / sqrt(3), which is 0.06 ± 0.0248.
GRID = [0.80, 0.80, 0.80]
RAMP = [0.85, 0.86, 0.87]


@pytest.mark.parametrize(
    ("direction", "comparison", "verdict"),
    [
        ("greater", {}, "supported"),
        ("greater", {"by": 0.03}, "supported"),
        ("greater", {"by": 0.05}, "undecided"),
        ("greater", {"by": 0.09}, "contradicted"),
        ("greater", {"arm": "grid", "than": "ramp"}, "contradicted"),
        ("less", {"arm": "grid", "than": "ramp"}, "supported"),
        ("less", {"arm": "grid", "than": "ramp", "by": 0.03}, "supported"),
        ("less", {"arm": "grid", "than": "ramp", "by": 0.05}, "undecided"),
        ("less", {"arm": "grid", "than": "ramp", "by": 0.09}, "contradicted"),
        ("less", {}, "contradicted"),
        ("less", {"metric": "test_loss"}, "supported"),
        ("greater", {"metric": "test_loss"}, "contradicted"),
        ("greater", {"metric": "validation_accuracy"}, "undecided"),
    ],
)
def test_verdicts(direction: str, comparison: dict[str, Any], verdict: str) -> None:
    """The whole interval has to lie on one side of the margin."""
    cells = searched("grid", "ramp") + confirmed("grid", GRID) + confirmed("ramp", RAMP)
    report = compare(study(confirm={"seeds": 3}, claims=[claim(direction, **comparison)]), cells)
    assert (verdict, False) == (report.claims[0].verdict, report.claims[0].provisional)


def test_a_difference_equal_to_the_margin_but_for_rounding_does_not_exceed_it() -> None:
    """0.91 - 0.90 is 0.010000000000000009 to the machine."""
    cells = searched("grid", "ramp") + confirmed("grid", [0.90] * 6) + confirmed("ramp", [0.91] * 6)
    report = compare(study(confirm={"seeds": 6}, claims=[claim(by=0.01), claim(by=0.009)]), cells)
    assert ["undecided", "undecided"] == [each.verdict for each in report.claims]
    assert [1.0, 1 / 32] == [each.difference.p if each.difference else None for each in report.claims]


@pytest.mark.parametrize(
    ("ramp", "reason"),
    [
        ([], f"ramp - grid, test accuracy: no seed in common so far; an interval needs at least two. {ABOUT}"),
        (
            [0.85],
            f"ramp - grid, test accuracy: +5.00 points over 1 paired seed; an interval needs at least two. {ABOUT}",
        ),
    ],
)
def test_fewer_than_two_common_seeds_decide_nothing(ramp: list[float], reason: str) -> None:
    """However large the difference."""
    cells = searched("grid", "ramp") + confirmed("grid", GRID) + confirmed("ramp", ramp)
    result = compare(study(confirm={"seeds": 3}, claims=[claim()]), cells).claims[0]
    assert ("undecided", reason) == (result.verdict, result.reason)


def test_the_reason_names_difference_interval_seeds_and_p() -> None:
    """Everything that the verdict rests on is in its sentence."""
    cells = searched("grid", "ramp") + confirmed("grid", GRID) + confirmed("ramp", RAMP)
    report = compare(study(confirm={"seeds": 3}, claims=[claim(by=0.01)]), cells)
    assert (
        "ramp - grid, test accuracy: +6.00 [+3.52, +8.48] points over 3 paired seeds (p = 0.013); "
        f"all of it is above +1.00. {ABOUT}"
    ) == report.claims[0].reason


@pytest.mark.parametrize(
    ("seeds", "claims", "verdict", "end"),
    [
        (2, 1, "undecided", f"all are equal, and an interval then needs 6. {ABOUT} {OF_EQUAL.format(6)}"),
        (5, 1, "undecided", f"all are equal, and an interval then needs 6. {ABOUT} {OF_EQUAL.format(6)}"),
        (6, 1, "supported", f"points over 6 paired seeds (p = 0.031); all of it is above 0. {ABOUT}"),
        (6, 2, "undecided", f"above 0, but not clearly enough for this number of claims. {ABOUT} {OF_EQUAL.format(7)}"),
        (7, 2, "supported", "(p = 0.016, 0.031 corrected for the number of claims); all of it is above 0."),
    ],
)
def test_equal_differences_are_no_certainty(seeds: int, claims: int, verdict: str, end: str) -> None:
    """A collapsed interval supports nothing by itself: the sign test decides, as for all claims together."""
    cells = searched("grid", "ramp") + confirmed("grid", [0.90] * seeds) + confirmed("ramp", [0.91] * seeds)
    result = compare(study(confirm={"seeds": seeds}, claims=[claim()] * claims), cells).claims[0]
    assert verdict == result.verdict
    assert end in result.reason


def test_claims_are_corrected_for_their_number() -> None:
    """p = 0.035 decides a single claim, not one of two of which the other is far from it."""
    cells = searched("grid", "ramp") + confirmed("grid", GRID) + confirmed("ramp", RAMP)
    alone, both = (
        compare(study(confirm={"seeds": 3}, claims=claims), cells).claims
        for claims in ([claim(by=0.03)], [claim(by=0.03), claim(metric="validation_accuracy")])
    )
    assert ["supported"] == [each.verdict for each in alone]
    assert ["undecided", "undecided"] == [each.verdict for each in both]
    p = 2 * (1 - stdtr(2, 3 * math.sqrt(3)))  # differences of 0.03 ± 0.01 beyond the margin
    assert [pytest.approx(p), 1.0] == [each.difference.p if each.difference else None for each in both]
    assert [pytest.approx(2 * p), 1.0] == [each.p_corrected for each in both]


@pytest.mark.parametrize(
    ("by", "needed", "outlook"),
    [
        # Effects, in standard deviations of 0.01: 1.0 as measured, 3.48 at the far end of the interval.
        (
            0.05,
            10,
            "about 3 seeds if the difference is +8.48, 10 if it is as measured; if there is no difference, no",
        ),
        (0.06, None, "about 4 seeds if the difference is +3.52, more than 1000 if it is as measured;"),
        (0.0595, None, "about 4 seeds if the difference is +8.48, more than 1000 if it is as measured;"),
    ],
)
def test_how_many_seeds_another_study_would_take(by: float, needed: int | None, outlook: str) -> None:
    """As far as the interval tells: of a study of its own, whose seeds are new; and what three seeds find."""
    cells = searched("grid", "ramp") + confirmed("grid", GRID) + confirmed("ramp", RAMP)
    result = compare(study(confirm={"seeds": 3}, claims=[claim(by=by)]), cells).claims[0]
    assert ("undecided", needed) == (result.verdict, result.needed)
    assert outlook in result.reason
    assert result.reason.endswith(" 3 seeds can find differences of at least 3.26 points.")


def test_comparisons_with_the_baseline() -> None:
    """Against scipy, and corrected for two arms."""
    from scipy.stats import ttest_rel

    cells = searched("grid", "ramp", "slow") + confirmed("grid", GRID) + confirmed("ramp", RAMP)
    cells += confirmed("slow", [0.80, 0.79, 0.82])
    report = compare(study(arms=("grid", "ramp", "slow"), confirm={"seeds": 3}), cells)
    ramp, slow = arm_of(report, "ramp").comparison, arm_of(report, "slow").comparison
    assert ramp is not None and slow is not None and arm_of(report, "grid").comparison is None
    p = ttest_rel(RAMP, GRID).pvalue
    assert (pytest.approx(p), pytest.approx(2 * p)) == (ramp.difference.p, ramp.p_corrected)
    assert slow.difference.p == slow.p_corrected
    assert pytest.approx(6 * 4 / 7) == ramp.effect
    assert (None, None) == (ramp.wilcoxon, ramp.bootstrap), "three seeds are too few for either"


def test_expected_bests_are_compared_at_what_the_smallest_arm_tried() -> None:
    """ramp tried two of 0.7 and 0.9, grid three of which two are drawn: 0.9 twice of three times, once 0.8."""
    cells = searched("grid") + [search("ramp", 0, 0.7), search("ramp", 1, 0.9)]
    report = compare(study(), cells)
    bests = [next(one.score for one in arm.expected_best if one.n == report.fewest) for arm in report.arms]
    assert (2, [pytest.approx(2.6 / 3), pytest.approx(0.9)]) == (report.fewest, bests)


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (("a", "a", "a"), ""),
        (("a", "a2", "a"), ""),
        (("a", "a", None), ""),
        (("a", "b", "a"), "search phase 2 on CPU, 1 on GPU."),
    ],
)
def test_different_kinds_of_device(workers: tuple[str | None, ...], words: str) -> None:
    """Several workers on one kind are no mixture, and what nothing is known of is none either."""
    devices = {"a": "CPU", "a2": "CPU", "b": "GPU"}
    cells = [search("grid", slot, 0.9, worker=worker) for slot, worker in enumerate(workers)]
    report = compare(study(), cells, devices=devices)
    assert report.devices.startswith(f"Different kinds of device: {words}" if words else "")
    assert bool(words) == bool(report.devices)
    assert "" == compare(study(), cells).devices


def test_unfinished_studies_say_what_is_missing() -> None:
    """Search trials, a confirm phase not begun, confirm trials; claims on such arms are provisional."""
    spec = study(arms=("grid", "ramp", "slow", "new"), confirm={"seeds": 3}, claims=[claim()])
    cells = [
        *searched("grid", "ramp", "slow"),
        cell("slow", "search", 3, state="leased", epochs=1),
        *confirmed("ramp", [0.9, 0.9]),
        cell("ramp", "confirm", 0, state="planned", epochs=0, seed=102, params={"lr.peak": 0.2}),
    ]
    report = compare(spec, cells)
    assert (
        "grid: confirm phase, 3 of 3 trials not done yet",
        "ramp: confirm phase, 1 of 3 trials not done yet",
        "slow: search phase, 1 of 4 trials not done yet",
        "new: the search phase has not begun",
    ) == report.unfinished
    assert ("undecided", True) == (report.claims[0].verdict, report.claims[0].provisional)
    assert (7, None) == (arm_of(report, "slow").search.epochs, report.search_ratio)


def test_trials_that_pruning_leaves_epochs_for_are_still_to_come() -> None:
    """A sampled arm of 6 epochs whose three trials spent 4: one more fits, and isn't planned yet."""
    spec = study(arms=("grid", "ramp"), sampler="random")
    cells = searched("grid") + [search("ramp", 0, 0.9), search("ramp", 1, 0.5, "pruned", epochs=1)]
    cells.append(search("ramp", 2, 0.5, "pruned", epochs=1))
    report = compare(spec, cells)
    assert ("ramp: search phase, 1 of 4 trials not done yet",) == report.unfinished


def with_a_failed_trial(phase: str = "confirm", arm: str = "ramp") -> list[Cell]:
    """A study of which all is done but for one trial."""
    cells = searched("grid", "ramp") + confirmed("grid", GRID) + confirmed("ramp", RAMP[:2])
    lost = cell(arm, phase, 3, state="failed", seed=102, params={"lr.peak": 0.2}, reason="net.py:3 in f: OSError: x")
    return [*cells, lost]


def test_failed_trials_are_reported_and_do_not_keep_a_study_open() -> None:
    """A failed confirm seed is missing from the pairs, in both arms; why, and what to do, is said."""
    report = compare(study(confirm={"seeds": 3}), with_a_failed_trial())
    ramp = arm_of(report, "ramp")
    assert ((), ()) == (report.unfinished, report.failures)
    assert (
        "ramp: confirm phase, 1 of 3 trials failed: net.py:3 in f: OSError: x",
        what_to_do("sample"),
    ) == report.incomplete
    assert ramp.difference is not None
    assert 2 == ramp.difference.n


@pytest.mark.parametrize("phase", ["search", "confirm"])
def test_a_claim_on_an_arm_with_a_failed_trial_is_incomplete(phase: str) -> None:
    """Though the seeds that are left would support it, and however many would be needed: it has to be mended."""
    spec = study(arms=("grid", "ramp", "slow"), confirm={"seeds": 3}, claims=[claim(), claim(arm="slow")])
    cells = with_a_failed_trial(phase) + searched("slow") + confirmed("slow", RAMP)
    hurt, sound = compare(spec, cells).claims
    assert ("incomplete", True, None) == (hurt.verdict, hurt.provisional, hurt.needed)
    assert ("incomplete", "supported") == (hurt.shown, sound.shown)
    assert hurt.reason.endswith("The claim can't be judged: 1 trial of ramp failed.")
    assert hurt.difference is not None


def test_a_study_that_was_stopped_early_judges_nothing() -> None:
    """And says why before anything else, though none of its trials has used up its attempts."""
    cells = [cell(arm, "search", slot, state="planned", epochs=0) for arm in ("grid", "ramp") for slot in range(3)]
    spec = study(confirm={"seeds": 2}, claims=[claim()])
    report = compare(spec, cells, stopped_early="its first trials all failed: x")
    assert ("incomplete", True) == (report.claims[0].verdict, report.claims[0].provisional)
    assert "the study was stopped early: its first trials all failed: x" == report.incomplete[0]
    assert report.claims[0].reason.endswith("The claim can't be judged: the study was stopped early.")


def test_an_earlier_choice_is_left_out() -> None:
    """The search ended with another choice after a failed trial was tried again: what was confirmed before is named."""
    cells = searched("grid") + [replace(one, state="withdrawn") for one in confirmed("grid", GRID)]
    cells[0] = replace(cells[0], score=0.95)
    now_chosen = [confirm("grid", 1000, 0.95, 0.9, slot=1, params={"lr.peak": 0.1})]
    report = compare(study(arms=("grid",), confirm={"seeds": 1}), cells + now_chosen)
    grid = arm_of(report, "grid")
    assert ({"lr.peak": 0.1}, 1, 2) == (grid.configuration, grid.confirm.cells, grid.confirm.epochs)
    assert ("grid: 3 trials of an earlier choice, left out after the search was completed",) == report.failures


MAY_COME = "A difference may be due to that."


@pytest.mark.parametrize(
    ("epochs", "ratio", "words"),
    [
        ((100, 100), 1.0, "Compute: equal; the arms' search phases spent 100 epochs each."),
        ((100, 105), 1.05, "Compute: equal; the arms' search phases spent 100 to 105 epochs."),
        ((6, 5), 1.2, "Compute: equal to within one trial; the arms' search phases spent 5 to 6 epochs."),
        (
            (6, 4),  # one more trial of two epochs would have fitted
            1.5,
            "Compute: NOT equal; the arms' search phases spent 4 to 6 epochs (ratio 1.50). " + MAY_COME,
        ),
        (
            (200, 100),
            2.0,
            "Compute: NOT equal; the arms' search phases spent 100 to 200 epochs (ratio 2.00). " + MAY_COME,
        ),
    ],
)
def test_spending_is_compared(epochs: tuple[int, int], ratio: float, words: str) -> None:
    """Arms are comparable if their searches cost the same, up to one part in twenty or to what is less than a trial."""
    cells = [search("grid", 0, 0.9, epochs=epochs[0]), search("ramp", 0, 0.9, epochs=epochs[1])]
    report = compare(study(), cells)
    assert (ratio, words) == (report.search_ratio, report.compute)


def test_a_study_of_one_arm() -> None:
    """Nothing to compare, and nothing wrong with that."""
    report = compare(study(arms=("grid",)), searched("grid"))
    assert (1.0, "Compute: the search phase spent 6 epochs.") == (report.search_ratio, report.compute)
    assert arm_of(report, "grid").difference is None


def at_half(cells: list[Cell], accuracies: dict[str, list[float | None]]) -> list[CurvePoint]:
    """The first of the two epochs of each confirmed cell, in the order of the seeds; None: not reached."""
    ids = {arm: [each.id for each in cells if each.arm == arm and each.phase == "confirm"] for arm in accuracies}
    return [
        CurvePoint(cell_id, 1, 1.0, {"validation_loss": 1 - accuracy, "validation_accuracy": accuracy})
        for arm, own in accuracies.items()
        for cell_id, accuracy in zip(ids[arm], own, strict=True)
        if accuracy is not None
    ]


@pytest.mark.parametrize(
    ("direction", "comparison", "verdict", "difference"),
    [
        ("greater", {"metric": "validation_accuracy", "at": 0.5}, "supported", 0.10),
        ("less", {"metric": "validation_loss", "at": 0.5}, "supported", -0.10),
        ("greater", {"metric": "validation_accuracy", "at": 0.5, "by": 0.2}, "contradicted", 0.10),
        ("greater", {"metric": "validation_accuracy"}, "undecided", 0.0),
        (
            "less",
            {"metric": "validation_accuracy", "against": {"arm": "ramp", "than": "grid", "at": 0.5}},
            "supported",
            -0.10,
        ),
    ],
)
def test_claims_on_an_earlier_moment(
    direction: str, comparison: dict[str, Any], verdict: str, difference: float
) -> None:
    """Half-way the ramp is ahead by ten points, at the end they are level: the gain has closed."""
    cells = searched("grid", "ramp") + confirmed("grid", GRID) + confirmed("ramp", RAMP)
    curves = at_half(cells, {"grid": [0.50, 0.51, 0.52], "ramp": [0.60, 0.62, 0.61]})
    report = compare(study(confirm={"seeds": 3}, claims=[claim(direction, **comparison)]), cells, curves)
    (result,) = report.claims
    assert result.difference is not None
    assert (verdict, 3) == (result.verdict, result.difference.n)
    assert pytest.approx(difference) == result.difference.difference
    assert ("after 50 % of the epochs" in result.reason) == ("0.5" in str(comparison))


def test_a_trial_that_diverged_before_the_moment_counts_as_guessing_and_one_that_lacks_it_does_not_count() -> None:
    """As at the end."""
    cells = searched("grid", "ramp") + confirmed("grid", GRID) + confirmed("ramp", RAMP[:2])
    cells.append(diverged("ramp", 102, params={"lr.peak": 0.2}))
    curves = at_half(cells, {"grid": [0.5, None, 0.5], "ramp": [0.6, 0.6, None]})
    claims = [claim(metric="validation_accuracy", at=0.5)]
    (result,) = compare(study(confirm={"seeds": 3}, claims=claims), cells, curves).claims
    assert result.difference is not None
    assert 2 == result.difference.n
    assert pytest.approx((0.1 - 0.4) / 2) == result.difference.difference


def test_claims_on_how_an_effect_changes() -> None:
    """The ramp gains six points on the grid, the slow one three: the difference of the gains is what is tested."""
    cells = searched("grid", "ramp", "slow") + confirmed("grid", GRID) + confirmed("ramp", RAMP)
    cells += confirmed("slow", [value + 0.03 for value in GRID])
    against: dict[str, Any] = {"against": {"arm": "slow", "than": "grid"}}
    results = [
        compare(study(arms=("grid", "ramp", "slow"), confirm={"seeds": 3}, claims=[each]), cells).claims[0]
        for each in (claim(**against), claim(by=0.02, **against), claim("less", **against))
    ]
    assert ["supported", "undecided", "contradicted"] == [result.verdict for result in results]
    assert [pytest.approx(0.03)] * 3 == [result.difference.difference for result in results if result.difference]
    assert results[0].reason.startswith("(ramp - grid) - (slow - grid), test accuracy: +3.00")


def test_a_seed_that_changes_nothing_is_no_second_result() -> None:
    """Eight times the same number would pass for certainty; one number that differs, anywhere, makes them eight."""
    scores = {"grid": 0.7, "ramp": 0.8}
    seeds = {arm: confirmed(arm, [score] * 8) for arm, score in scores.items()}
    cells = searched(*scores) + [cell for own in seeds.values() for cell in own]
    points = [
        CurvePoint(cell.id, at, 1.0, {"train_loss": 1 / at, "images_per_second": float(cell.id)})
        for own in seeds.values()
        for cell in own
        for at in (1, 2)
    ]
    judged = study(confirm={"seeds": 8}, claims=[claim()])
    report = compare(judged, cells, points)
    [found] = report.claims
    assert ("undecided", None) == (found.verdict, found.needed)
    for arm in scores:
        said = f"{arm} measured the same with all its 8 seeds: it ignores the seed, so this is one result, not 8"
        assert said in found.reason
        assert said in report.failures
    apart = {own[0].id for own in seeds.values()}
    differing = [replace(point, metrics={"train_loss": 0.3}) if point.cell_id in apart else point for point in points]
    again = compare(judged, cells, differing)
    assert ("supported", ()) == (again.claims[0].verdict, again.failures)


def test_a_claim_that_decides_nothing_makes_no_other_easier() -> None:
    """One on a loss that a seed lacks: it counts among the claims to the end, however sure the survivors are."""
    accuracies = [0.81, 0.82, 0.83, 0.805, 0.806]
    cells = searched("grid", "ramp") + confirmed("grid", [0.80] * 5) + confirmed("ramp", accuracies)
    worse = [replace(one, metrics={**one.metrics, "test_loss": 0.5 + 0.001 * one.seed}) for one in cells]
    lost = [replace(one, metrics={**one.metrics, "test_loss": None}) if one.seed == 104 else one for one in worse]
    loss = {"text": "less loss", "less": {"arm": "ramp", "than": "grid", "metric": "test_loss"}}
    alone = compare(study(confirm={"seeds": 5}, claims=[claim()]), lost).claims[0]
    both = compare(study(confirm={"seeds": 5}, claims=[claim(), loss]), lost).claims
    assert alone.p_corrected is not None and both[0].p_corrected is not None
    assert ("undecided", pytest.approx(2 * alone.p_corrected)) == (both[1].verdict, both[0].p_corrected)
    assert None is both[1].p_corrected and "those that remain can't decide the claim" in both[1].reason
