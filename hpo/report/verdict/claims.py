"""Whether the claims of a study hold: paired t tests against the margins that they name, corrected for their number.

Holm's correction over the claims keeps the chance that a study calls any of its claims wrongly at 5 %, hence also
that of each. The shown interval is the uncorrected one; it excludes the margin whenever a claim is decided.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hpo.metric import Metric
from hpo.report.numbers import change, p_value, probability, signed
from hpo.report.verdict.measured import Values
from hpo.report.verdict.power import MOST_SEEDS, seeds_needed
from hpo.report.verdict.results import ClaimResult, Verdict
from hpo.report.verdict.statistics import CONFIDENCE, Paired, equal_seeds, holm, paired
from hpo.study import Claim, Pair, StudySpec
from hpo.words.nouns import count

LEVEL = 1 - CONFIDENCE


Earlier = Mapping[tuple[str, float], Values]
"""(arm, share of its epochs) -> what validation measured after these."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """What is known of the arms that claims are about, by arm."""

    values: Mapping[str, Values]
    unfinished: Collection[str] = ()
    """Arms of which trials are still to come: a claim on one is provisional."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """Arms of which trials have failed, and how many: a claim on one is incomplete, whatever the others say, for what
    would be compared is not what the study asked for."""
    trained: Mapping[str, Collection[int]] = field(default_factory=dict)
    """The seeds under which the arm's configuration was trained; those that have no value diverged or overflowed."""
    earlier: Earlier = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Arms whose trials are the same under all seeds -> how many: one result, which no test may count so often."""


def judge(study: StudySpec, seeds: Seeds) -> tuple[ClaimResult, ...]:
    """The verdict on every claim of the study."""
    metrics = [study.metric_of(claim.comparison) for claim in study.claims]
    differences = [_difference(claim, metric, seeds) for claim, metric in zip(study.claims, metrics, strict=True)]
    corrected = holm([difference.p if difference else None for difference in differences])
    level = LEVEL / max(len(study.claims), 1)
    return tuple(
        _judge(claim, metric, difference, p, level, seeds, study.unit)
        for claim, metric, difference, p in zip(study.claims, metrics, differences, corrected, strict=True)
    )


def _difference(claim: Claim, metric: Metric, seeds: Seeds) -> Paired | None:
    pairs = claim.comparison.pairs
    sides = [[_side(arm, pair.at, seeds)[metric.name] for arm in (pair.arm, pair.than)] for pair in pairs]
    a, b = sides[0] if len(sides) == 1 else [dict(_differences(*side)) for side in sides]
    return paired(a, b, margin=_margin(claim))


def _side(arm: str, at: float | None, seeds: Seeds) -> Values:
    return seeds.values[arm] if at is None else seeds.earlier[arm, at]


def _differences(a: Mapping[int, float], b: Mapping[int, float]) -> Iterator[tuple[int, float]]:
    """Seed and a - b under every seed that both have."""
    return ((seed, a[seed] - b[seed]) for seed in a.keys() & b.keys())


def _margin(claim: Claim) -> float:
    return claim.comparison.by if claim.greater else -claim.comparison.by


def _judge(
    claim: Claim,
    metric: Metric,
    difference: Paired | None,
    p: float | None,
    level: float,
    seeds: Seeds,
    unit: str,
) -> ClaimResult:
    pairs = claim.comparison.pairs
    arms = _arms(pairs)
    missing = dict.fromkeys(seeds.failing[arm] for arm in arms if arm in seeds.failing)
    lost = _lost(metric, pairs, seeds)
    ignored = {arm: seeds.ignored[arm] for arm in arms if arm in seeds.ignored}
    decides_nothing = bool(lost or ignored)
    verdict = _verdict(claim, difference, p)
    if decides_nothing:
        verdict = "undecided"
    if missing:
        verdict = "incomplete"
    asks_for_more = verdict == "undecided" and not decides_nothing
    more = _more_seeds(claim, difference, level) if asks_for_more and difference else None
    parts = [
        f"{_compared(pairs, unit)}, {metric.words}: {_found(claim, metric, difference, p)}.",
        _outlook(difference, more) if asks_for_more else "",
        *(f"{seed_ignored(arm, n)}." for arm, n in ignored.items()),
        _left_out(metric, lost),
        f"It can't be judged: {', '.join(missing)}." if missing else "",
    ]
    return ClaimResult(
        text=claim.text,
        verdict=verdict,
        reason=" ".join(part for part in parts if part),
        difference=difference,
        p_corrected=p,
        more_seeds=more,
        metric=metric,
        provisional=bool(missing) or any(arm in seeds.unfinished for arm in arms),
    )


def _arms(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """The arms that are compared, each once."""
    return tuple(dict.fromkeys(arm for pair in pairs for arm in (pair.arm, pair.than)))


def _compared(pairs: Sequence[Pair], unit: str) -> str:
    """`ramp - grid`, `ramp - grid after 25 % of the epochs`, `(ramp - grid) - (slow - grid)`."""
    texts = [
        f"{pair.arm} - {pair.than}" + (f" after {100 * pair.at:.3g} % of the {unit}s" if pair.at else "")
        for pair in pairs
    ]
    return texts[0] if len(texts) == 1 else " - ".join(f"({text})" for text in texts)


def _verdict(claim: Claim, difference: Paired | None, p: float | None) -> Verdict:
    if difference is None or p is None or p >= LEVEL:
        return "undecided"
    return "supported" if (difference.difference > _margin(claim)) == bool(claim.greater) else "contradicted"


def _found(claim: Claim, metric: Metric, difference: Paired | None, p: float | None) -> str:
    """The difference, what it rests on, and where its interval lies."""
    if difference is None:
        return "no seed in common so far; an interval needs two"
    points = " points" if metric.share else ""
    found = f"{change(difference, metric)}{points} over {count(difference.n, 'paired seed')}"
    if difference.p is None or p is None:
        return f"{found}; an interval needs two"
    if difference.low is None:
        return f"{found}; all equal, which takes {equal_seeds(LEVEL)} to make an interval"
    uncorrected = "" if p == difference.p else f", {probability(p)} corrected for the number of claims"
    margin = _margin(claim)
    limit = "0" if margin == 0 else signed(margin, metric)
    if difference.p >= LEVEL:
        where = f"it does not exclude {limit}"
    else:
        where = f"all of it is {'above' if difference.difference > margin else 'below'} {limit}"
    if difference.p < LEVEL <= p:
        where += ", but too narrowly for so many claims"
    return f"{found} ({p_value(difference.p)}{uncorrected}); {where}"


def _more_seeds(claim: Claim, difference: Paired, level: float) -> int | None:
    if difference.p is None:
        return None
    needed = seeds_needed(difference, _margin(claim), level)
    return None if needed is None else max(1, needed - difference.n)


def _outlook(difference: Paired | None, more: int | None) -> str:
    if difference is None or difference.p is None:
        return ""
    if more is None:
        return f"Not even {MOST_SEEDS} seeds would decide it."
    return f"About {count(more, 'more seed')} would decide it."


def _lost(metric: Metric, pairs: Sequence[Pair], seeds: Seeds) -> dict[str, int]:
    """Arm -> under how many seeds it has no value; those that it has are the luckier ones."""
    compared = _arms(pair for pair in pairs if pair.at is None)
    lost = {arm: len(set(seeds.trained.get(arm, ())) - seeds.values[arm][metric.name].keys()) for arm in compared}
    return {arm: n for arm, n in lost.items() if n}


def seed_ignored(arm: str, seeds: int) -> str:
    """What the trials of an arm show that are the same under all seeds."""
    return (
        f"{arm} measured the same under all its {seeds} seeds: it ignores the seed, so this is one result, not {seeds}"
    )


def _left_out(metric: Metric, lost: Mapping[str, int]) -> str:
    """Says so where a comparison is without the seeds that have none."""
    if not lost:
        return ""
    under = {arm: f"{count(n, 'seed')} that diverged or overflowed" for arm, n in lost.items()}
    lines = [f"{arm} has no {metric.words} under {seeds}" for arm, seeds in under.items()]
    return f"Left out: {', '.join(lines)}; those that survived decide nothing."
