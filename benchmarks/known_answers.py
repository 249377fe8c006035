"""Simulated studies whose answer is known: does the verdict say so as often as it promises?

    python -m benchmarks.known_answers

Every planted study goes through what measured ones go through: `hpo.report.verdict.compare`, and `hpo.evidence.design`
where seeds are added. A seed moves all arms alike, as the same initialization does; beside that each arm varies by
itself, so that paired differences have a standard deviation of half a point; accuracies are counts of 10,000 images.
How an arm varies is planted too: normally, skewed, in two groups, in ties, or with seeds that diverge.
docs/statistics.md derives what is promised.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.evidence.design import confirm_seeds
from hpo.evidence.power import power
from hpo.evidence.statistics import paired
from hpo.report.verdict.compare import compare
from hpo.report.verdict.results import ClaimResult, Report
from hpo.storage.rows import Cell, first_slot
from hpo.study.file import parse
from tests.unit.report_samples import PEAKS, confirm, diverged, search, study

STUDIES = 1000
SEEDS = 5
IMAGES = 10_000
SPREAD = 0.005
"""Standard deviation of a paired difference, as a share."""
EFFECT = 1.5
"""The planted difference, in standard deviations."""
FAMILY = 4
"""Claims of the studies that make several, of which there are half as many."""
SEARCHES = 5
TRIED = 8
"""Configurations that each search tries."""
MOST = 100
"""Seeds at most, where they are added until it is decided."""
SMALL_EFFECT = 0.5
"""The planted difference of those, in standard deviations."""
WITHIN = 0.005
"""What counts as equal: a standard deviation of the paired differences."""
EQUAL_SEEDS = 12
SETTINGS = 8
"""Settings of the studies that have some."""

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def _skewed(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.exponential(1.0, shape) - 1.0


def _in_two_groups(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.choice([-1.0, 1.0], shape) + random.normal(0, 0.1, shape)


KINDS: dict[str, tuple[Draw, int, float]] = {
    "normal": (lambda random, shape: random.normal(0, 1, shape), IMAGES, 0.0),
    "skewed": (_skewed, IMAGES, 0.0),
    "bimodal": (_in_two_groups, IMAGES, 0.0),
    "tied": (lambda random, shape: random.normal(0, 1, shape), 300, 0.0),
    "diverging": (lambda random, shape: random.normal(0, 1, shape), IMAGES, 0.1),
}
"""How arms vary under their seeds: the draws, of deviation 1; the test images; and how many of the seeds diverge."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the verdicts said."""

    covered: float
    """Share of the intervals that contain the true difference."""
    supported: float
    """Share of the claims that came out supported."""
    decided: float
    """Share of the claims that came out supported or contradicted."""
    any_supported: float
    """Share of the studies that support at least one of theirs."""


def simulate(studies: int, effect: float, others: int = 1, *, seed: int = 0, kind: str = "normal") -> Tally:
    """So many studies in which `others` arms truly differ from the baseline by `effect` standard deviations."""
    random = np.random.default_rng(seed)
    arms = ("base", *(f"arm{number}" for number in range(others)))
    spec = study(arms=arms, confirm={"seeds": SEEDS}, claims=[_claim(arm) for arm in arms[1:]])
    reports = []
    for _ in range(studies):
        accuracy, lost = _measured(random, kind, (len(arms), SEEDS), effect)
        reports.append(compare(spec, [*_searched(arms), *_confirmed(arms, accuracy, lost)]))
    return _tally(reports, effect * SPREAD)


def procedures(studies: int, searches: int, *, seed: int = 0, kind: str = "normal", effect: float = 0.0) -> Tally:
    """Arms that are the same way of searching, each of so many searches; or one whose choices are better by `effect`
    standard deviations of a choice.

    A search chooses the best of what it tried by validation, whose noise is that of a seed; configurations differ as
    much as seeds do.
    """
    random = np.random.default_rng(seed)
    arms, draw = ("base", "arm0"), KINDS[kind][0]
    spec = study(arms=arms, confirm={"seeds": SEEDS}, claims=[_claim("arm0")], searches=searches)
    reports = []
    for _ in range(studies):
        cells: list[Cell] = []
        for number in range(1, searches + 1):
            qualities = random.normal(0, SPREAD, (len(arms), TRIED))
            seen = qualities + SPREAD * draw(random, qualities.shape)
            chosen = np.take_along_axis(qualities, seen.argmax(axis=1)[:, None], axis=1)
            accuracy, lost = _measured(random, kind, (len(arms), SEEDS), effect, chosen)
            cells += [*_searched(arms, number), *_confirmed(arms, accuracy, lost, number)]
        reports.append(compare(spec, cells))
    return _tally(reports, effect * SPREAD)


@dataclass(frozen=True, slots=True)
class Sequences:
    """What came of studies whose seeds were added until it was decided."""

    decided: float
    """Share of the claims that came out supported or contradicted."""
    covered: float
    """Share of the studies in which the interval contains the true difference at every look, up to the most seeds."""
    seeds: float
    """Seeds that an arm got, on average."""


def sequences(studies: int, effect: float, *, seed: int = 0, kind: str = "normal") -> Sequences:
    """So many studies that look after every five seeds, of an arm that differs by `effect` standard deviations."""
    random = np.random.default_rng(seed)
    arms = ("base", "arm0")
    design = {"seeds": SEEDS, "most": MOST, "until": "decided"}
    spec = study(arms=arms, confirm=design, claims=[_claim("arm0")])
    seeds = [spec.protocol.seed_of("confirm", 1, index) for index in range(MOST)]
    decided = covered = used = 0
    for _ in range(studies):
        accuracy, lost = _measured(random, kind, (len(arms), MOST), effect)
        cells = [*_searched(arms), *_confirmed(arms, accuracy, lost, seeds=seeds)]
        wanted = confirm_seeds(spec, cells)["arm0"]
        known = [cell for cell in cells if cell.phase == "search" or cell.seed in seeds[:wanted]]
        [claim] = compare(spec, known).claims
        decided += claim.verdict in ("supported", "contradicted")
        used += wanted
        values = np.where(lost, 0.0, accuracy)
        covered += all(_covers(values[:, :n], effect * SPREAD) for n in range(SEEDS, MOST + 1, SEEDS))
    return Sequences(decided / studies, covered / studies, used / studies)


def _covers(values: np.ndarray, truth: float) -> bool:
    found = paired(dict(enumerate(values[1].tolist())), dict(enumerate(values[0].tolist())), anytime=True)
    return found is not None and (found.low is None or found.high is None or found.low <= truth <= found.high)


def equalities(studies: int, effect: float, *, seed: int = 0) -> float:
    """The share of claims on equality that are supported where the arm differs by `effect` standard deviations."""
    random = np.random.default_rng(seed)
    arms = ("base", "arm0")
    claim = {"text": "as good", "equal": {"arm": "arm0", "than": "base", "within": WITHIN}}
    spec = study(arms=arms, confirm={"seeds": EQUAL_SEEDS}, claims=[claim])
    found: list[ClaimResult] = []
    for _ in range(studies):
        accuracy = _accuracies(random, KINDS["normal"][0], (len(arms), EQUAL_SEEDS))
        accuracy[1:] += effect * SPREAD
        cells = [*_searched(arms), *_confirmed(arms, accuracy, np.zeros(accuracy.shape, bool))]
        found += compare(spec, cells).claims
    return sum(claim.verdict == "supported" for claim in found) / studies


@dataclass(frozen=True, slots=True)
class InSettings:
    """What came of studies with settings."""

    together: float
    """Share of the claims over all settings that came out supported."""
    each: float
    """Share of the claims about one setting, of as many as there are settings."""


def in_settings(studies: int, effect: float, *, seed: int = 0) -> InSettings:
    """So many studies of an arm that truly differs by `effect` standard deviations in each of the settings."""
    random = np.random.default_rng(seed)
    names = [f"s{number}" for number in range(SETTINGS)]
    table = json.loads(study(arms=("base", "arm0"), confirm={"seeds": SEEDS}).model_dump_json(exclude_defaults=True))
    table |= {"settings": {name: {} for name in names}}
    together = parse(table | {"claims": [_claim("arm0")]})
    each = [{"text": name, "greater": {"arm": "arm0", "than": "base", "setting": name}} for name in names]
    one_by_one = parse(table | {"claims": each})
    found = [0, 0]
    for _ in range(studies):
        cells: list[Cell] = []
        for name in names:
            accuracy = _accuracies(random, KINDS["normal"][0], (2, SEEDS)) - random.uniform(0, 0.2)
            accuracy[1] += effect * SPREAD
            arms = (f"base_{name}", f"arm0_{name}")
            cells += [*_searched(arms), *_confirmed(arms, accuracy, np.zeros(accuracy.shape, bool))]
        for place, spec in enumerate((together, one_by_one)):
            claims = compare(spec, cells).claims
            found[place] += sum(claim.verdict == "supported" for claim in claims)
    return InSettings(found[0] / studies, found[1] / studies / SETTINGS)


def _claim(arm: str) -> dict[str, Any]:
    return {"text": f"{arm} is better", "greater": {"arm": arm, "than": "base"}}


def _measured(
    random: np.random.Generator, kind: str, shape: tuple[int, int], effect: float, chosen: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracies (arms, seeds) as counted, those of all arms but the first better by `effect`; and which diverge."""
    draw, images, diverging = KINDS[kind]
    accuracy = _accuracies(random, draw, shape) + chosen
    accuracy[1:] += effect * SPREAD
    return np.round(accuracy * images) / images, random.random(shape) < diverging


def _accuracies(random: np.random.Generator, draw: Draw, shape: tuple[int, int]) -> np.ndarray:
    """Accuracies (arms, seeds) that differ by chance alone."""
    alike = random.normal(0, SPREAD, shape[1])
    return 0.9 + alike + SPREAD / math.sqrt(2) * draw(random, shape)


def _searched(arms: Sequence[str], number: int = 1) -> Iterator[Cell]:
    """A search whose first point is the best, in all arms: what is confirmed is what it has chosen."""
    for arm in arms:
        for place, peak in enumerate(PEAKS):
            yield search(arm, first_slot(number) + place, 0.9 - 0.1 * place, params={"lr.peak": peak})


def _confirmed(
    arms: Sequence[str], accuracy: np.ndarray, lost: np.ndarray, number: int = 1, seeds: Sequence[int] | None = None
) -> Iterator[Cell]:
    fields = {"slot": first_slot(number), "params": {"lr.peak": PEAKS[0]}}
    for arm, values, gone in zip(arms, accuracy.tolist(), lost.tolist(), strict=True):
        for place, (value, is_lost) in enumerate(zip(values, gone, strict=True)):
            seed = place + 1000 * number if seeds is None else seeds[place]
            yield diverged(arm, seed, **fields) if is_lost else confirm(arm, seed, value, value, **fields)


def _tally(reports: Sequence[Report], truth: float) -> Tally:
    claims = [claim for report in reports for claim in report.claims]
    differences = [claim.difference for claim in claims if claim.difference]
    covered = [d.low is not None and d.high is not None and d.low <= truth <= d.high for d in differences]
    supported = [[claim.verdict == "supported" for claim in report.claims] for report in reports]
    return Tally(
        covered=sum(covered) / len(claims),
        supported=sum(map(sum, supported)) / len(claims),
        decided=sum(claim.verdict in ("supported", "contradicted") for claim in claims) / len(claims),
        any_supported=sum(map(any, supported)) / len(reports),
    )


def fixed_seeds(effect: float, wanted: float) -> int:
    """The fewest seeds under which the paired t test finds the effect with a chance of `wanted`."""
    n = 2
    while power(effect, n, 0.05) < wanted:
        n += 1
    return n


def measure(studies: int = STUDIES) -> dict[str, float]:
    """Everything that is promised, as shares of planted studies."""
    same, better = simulate(studies, 0.0), simulate(studies, EFFECT, seed=1)
    family = simulate(studies // 2, 0.0, FAMILY, seed=2)
    none = {kind: simulate(studies, 0.0, seed=3, kind=kind) for kind in KINDS if kind != "normal"}
    procedure = {kind: procedures(studies, SEARCHES, seed=4, kind=kind) for kind in KINDS}
    one_search = procedures(studies, 1, seed=5)
    looks = {kind: sequences(studies, 0.0, seed=6, kind=kind) for kind in KINDS}
    settings = in_settings(studies, SMALL_EFFECT, seed=10)
    small = sequences(studies, SMALL_EFFECT, seed=7)
    fixed = fixed_seeds(SMALL_EFFECT, small.decided)
    return {
        "coverage": round((same.covered + better.covered) / 2, 4),
        "false_supported": same.supported,
        "false_supported_any_of_4": family.any_supported,
        "power": better.supported,
        "power_expected": round(power(EFFECT, SEEDS, 0.05), 4),
        **{f"false_supported_{kind}": tally.supported for kind, tally in none.items()},
        "false_supported_procedure": procedure["normal"].supported,
        "decided_of_itself": procedure["normal"].decided,
        **{f"false_supported_procedure_{kind}": procedure[kind].supported for kind in none},
        "decided_of_itself_by_one_search": one_search.decided,
        "false_decided_sequential": looks["normal"].decided,
        **{f"false_decided_sequential_{kind}": looks[kind].decided for kind in none},
        "coverage_sequence": looks["normal"].covered,
        "sequential_power": small.decided,
        "sequential_seeds": small.seeds,
        "sequential_seeds_saved": round(1 - small.seeds / fixed, 4),
        "settings_power": settings.together,
        "settings_power_one_by_one": settings.each,
        "false_supported_settings": in_settings(studies, 0.0, seed=11).together,
        "equal_false": equalities(studies, 1.0, seed=8),
        "equal_power": equalities(studies, 0.0, seed=9),
    }


def main() -> int:
    """Print what was measured, and as the last line the same as JSON; 1 if a promise isn't kept."""
    found = measure()
    print(f"{STUDIES} planted studies for each line, {SEEDS} seeds each where no other number is given:")
    print(f"  the 95 % interval contains the true difference in {found['coverage']:.1%} of them (93 to 97 %)")
    print(f"  a claim that is false came out supported in {found['false_supported']:.1%} (at most 5 %)")
    print(f"    seeds that are {_of_kinds(found, 'false_supported')}")
    print(f"  any of {FAMILY} false claims of a study in {found['false_supported_any_of_4']:.1%} (at most 5 %)")
    print(f"  a claim that is true in {found['power']:.1%}; power as computed: {found['power_expected']:.1%}")
    print(
        f"  an arm against itself, {SEARCHES} searches each: supported in {found['false_supported_procedure']:.1%} (at "
        f"most 5 %), decided in {found['decided_of_itself']:.1%}; by one search each: decided in "
        f"{found['decided_of_itself_by_one_search']:.1%}, which is why its claims are about what it chose"
    )
    print(f"    seeds that are {_of_kinds(found, 'false_supported_procedure')}")
    print(
        f"  looking after every {SEEDS} seeds, {MOST} at most, where nothing differs: decided in "
        f"{found['false_decided_sequential']:.1%} (at most 5 %)"
    )
    print(f"    seeds that are {_of_kinds(found, 'false_decided_sequential')}")
    print(f"  all their intervals contain the true difference in {found['coverage_sequence']:.1%} (at least 95 %)")
    print(
        f"  a difference of {SMALL_EFFECT} standard deviations is decided in {found['sequential_power']:.1%} with "
        f"{found['sequential_seeds']:.1f} seeds on average, {found['sequential_seeds_saved']:.0%} fewer than a fixed "
        "number of the same power"
    )
    print(
        f"  a difference of {SMALL_EFFECT} standard deviations in each of {SETTINGS} settings: supported in "
        f"{found['settings_power']:.1%} as one claim, in {found['settings_power_one_by_one']:.1%} of as many claims as "
        f"settings; where nothing differs in {found['false_supported_settings']:.1%} (at most 5 %)"
    )
    print(
        f"  equal within a standard deviation, {EQUAL_SEEDS} seeds: {found['equal_power']:.1%} where nothing differs, "
        f"{found['equal_false']:.1%} at the bound itself (at most 5 %)"
    )
    print(json.dumps(found))
    return 0 if kept(found) else 1


def _of_kinds(found: dict[str, float], name: str) -> str:
    return ", ".join(f"{kind} {found[f'{name}_{kind}']:.1%}" for kind in KINDS if kind != "normal")


def kept(found: dict[str, float], studies: int = STUDIES) -> bool:
    """Whether the promises are kept: up to four standard errors where a share is exactly what a test promises, and up
    to chance where there are fewer than `STUDIES`."""
    expected = found["power_expected"]
    errors = [share for name, share in found.items() if name.startswith(("false_", "equal_false"))]
    few = _standard_error(0.05, studies) if studies < STUDIES else 0.0
    return (
        0.93 - few <= found["coverage"] <= 0.97 + few
        and max(errors) <= 0.05 + 3 * few
        and found["coverage_sequence"] >= 0.95 - 3 * few
        and found["sequential_seeds_saved"] > 0
        and found["equal_power"] > 0.5
        and found["settings_power"] > found["settings_power_one_by_one"]
        and found["decided_of_itself"] <= 0.05 + 4 * _standard_error(0.05, studies)
        and abs(found["power"] - expected) <= 4 * _standard_error(expected, studies)
    )


def _standard_error(share: float, studies: int) -> float:
    return math.sqrt(share * (1 - share) / studies)


if __name__ == "__main__":
    sys.exit(main())
