"""Simulated studies whose answer is known: does the verdict say so as often as it promises?

    python -m benchmarks.known_answers

Every study has a baseline and other arms, confirmed with 5 seeds. A seed moves all arms alike, as the same
initialization does; beside that each arm varies by itself, normally, so that paired differences have a standard
deviation of half a point; accuracies are counts of 10,000 images. The arms' true differences are either 0 or planted,
and every study goes through `hpo.report.verdict.compare`, as measured ones do.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.evidence.power import power
from hpo.report.verdict.compare import compare
from hpo.report.verdict.results import Report
from tests.unit.report_samples import PEAKS, confirm, search, study

STUDIES = 1000
SEEDS = 5
IMAGES = 10_000
SPREAD = 0.005
"""Standard deviation of a paired difference, as a share."""
EFFECT = 1.5
"""The planted difference, in standard deviations."""
FAMILY = 4
"""Claims of the studies that make several, of which there are half as many."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the verdicts said."""

    covered: float
    """Share of the intervals that contain the true difference."""
    supported: float
    """Share of the claims that came out supported."""
    any_supported: float
    """Share of the studies that support at least one of theirs."""


def simulate(studies: int, effect: float, others: int = 1, *, seed: int = 0, images: int = IMAGES) -> Tally:
    """So many studies in which `others` arms truly differ from the baseline by `effect` standard deviations."""
    random = np.random.default_rng(seed)
    arms = ("base", *(f"arm{number}" for number in range(others)))
    claims = [{"text": f"{arm} is better", "greater": {"arm": arm, "than": "base"}} for arm in arms[1:]]
    spec = study(arms=arms, confirm={"seeds": SEEDS}, claims=claims)
    reports = []
    for _ in range(studies):
        accuracy = 0.9 + random.normal(0, SPREAD, SEEDS) + random.normal(0, SPREAD / math.sqrt(2), (len(arms), SEEDS))
        accuracy[1:] += effect * SPREAD
        accuracy = np.round(accuracy * images) / images
        # What is confirmed is what an arm's search has chosen: the first of its points, in all of them.
        searched = [
            search(arm, slot, 0.9 - 0.1 * slot, params={"lr.peak": peak})
            for arm in arms
            for slot, peak in enumerate(PEAKS)
        ]
        confirmed = [
            confirm(arm, place, value, value, params={"lr.peak": PEAKS[0]})
            for arm, values in zip(arms, accuracy.tolist(), strict=True)
            for place, value in enumerate(values)
        ]
        reports.append(compare(spec, [*searched, *confirmed]))
    return _tally(reports, effect * SPREAD)


def _tally(reports: Sequence[Report], truth: float) -> Tally:
    claims = [claim for report in reports for claim in report.claims]
    differences = [claim.difference for claim in claims if claim.difference]
    covered = [d.low is not None and d.high is not None and d.low <= truth <= d.high for d in differences]
    supported = [[claim.verdict == "supported" for claim in report.claims] for report in reports]
    return Tally(
        covered=sum(covered) / len(claims),
        supported=sum(map(sum, supported)) / len(claims),
        any_supported=sum(map(any, supported)) / len(reports),
    )


def measure() -> dict[str, float]:
    """Shares of the intervals, of the false claims, of the studies of false claims, and of the true claims."""
    same, better = simulate(STUDIES, 0.0), simulate(STUDIES, EFFECT, seed=1)
    family = simulate(STUDIES // 2, 0.0, FAMILY, seed=2)
    return {
        "coverage": round((same.covered + better.covered) / 2, 4),
        "false_supported": same.supported,
        "false_supported_any_of_4": family.any_supported,
        "power": better.supported,
        "power_expected": round(power(EFFECT, SEEDS, 0.05), 4),
    }


def main() -> int:
    """Print what was measured, and as the last line the same as JSON; 1 if a promise isn't kept."""
    found = measure()
    print(
        f"{STUDIES} studies without a difference, as many with one of {EFFECT} standard deviations, {SEEDS} seeds each:"
    )
    print(f"  the 95 % interval contains the true difference in {found['coverage']:.1%} of them (93 to 97 %)")
    print(f"  a claim that is false came out supported in {found['false_supported']:.1%} (at most 5 %)")
    print(f"  any of {FAMILY} false claims of a study in {found['false_supported_any_of_4']:.1%} (at most 5 %)")
    print(f"  a claim that is true in {found['power']:.1%}; power as computed: {found['power_expected']:.1%}")
    print(json.dumps(found))
    return 0 if kept(found) else 1


def kept(found: dict[str, float]) -> bool:
    """Whether the promises are kept; the power within four standard errors of the computed one."""
    expected = found["power_expected"]
    return (
        0.93 <= found["coverage"] <= 0.97
        and found["false_supported"] <= 0.05
        and found["false_supported_any_of_4"] <= 0.05
        and abs(found["power"] - expected) <= 4 * math.sqrt(expected * (1 - expected) / STUDIES)
    )


if __name__ == "__main__":
    sys.exit(main())
