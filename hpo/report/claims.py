"""Whether the claims of a study hold: paired t tests against the margins that they name, corrected for their number.

Holm's correction over the claims keeps the chance that a study calls any of its claims wrongly at 5 %, hence also
that of each. The shown interval is the uncorrected one; it excludes the margin whenever a claim is decided.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from hpo.report.measured import Values
from hpo.report.numbers import change, count, is_accuracy, p_value, probability, signed
from hpo.report.power import MOST_SEEDS, seeds_needed
from hpo.report.results import ClaimResult, Verdict
from hpo.report.statistics import CONFIDENCE, Paired, equal_seeds, holm, paired
from hpo.study import Claim, Comparison, Metric, Pair

LEVEL = 1 - CONFIDENCE


Earlier = Mapping[tuple[str, float], Values]
"""(arm, share of its epochs) -> what validation measured after these."""


def judge(
    claims: Sequence[Claim],
    values: Mapping[str, Values],
    unfinished: Collection[str],
    failing: Mapping[str, str],
    earlier: Earlier = MappingProxyType({}),
) -> tuple[ClaimResult, ...]:
    """The verdict on every claim.

    `values` is by arm. A claim on an `unfinished` arm is provisional. One on an arm of which trials are `failing` is
    incomplete, whatever the others say: what would be compared is not what the study asked for.
    """
    differences = [_difference(claim, values, earlier) for claim in claims]
    corrected = holm([difference.p if difference else None for difference in differences])
    return tuple(
        _judge(claim, difference, p, len(claims), values, unfinished, failing)
        for claim, difference, p in zip(claims, differences, corrected, strict=True)
    )


def _difference(claim: Claim, values: Mapping[str, Values], earlier: Earlier) -> Paired | None:
    metric, pairs = claim.comparison.metric, claim.comparison.pairs
    sides = [[_side(arm, pair.at, values, earlier)[metric] for arm in (pair.arm, pair.than)] for pair in pairs]
    a, b = sides[0] if len(sides) == 1 else [dict(_differences(*side)) for side in sides]
    return paired(a, b, margin=_margin(claim))


def _side(arm: str, at: float | None, values: Mapping[str, Values], earlier: Earlier) -> Values:
    return values[arm] if at is None else earlier[arm, at]


def _differences(a: Mapping[int, float], b: Mapping[int, float]) -> Iterator[tuple[int, float]]:
    """Seed and a - b under every seed that both have."""
    return ((seed, a[seed] - b[seed]) for seed in a.keys() & b.keys())


def _margin(claim: Claim) -> float:
    return claim.comparison.by if claim.greater else -claim.comparison.by


def _judge(
    claim: Claim,
    difference: Paired | None,
    p: float | None,
    claims: int,
    values: Mapping[str, Values],
    unfinished: Collection[str],
    failing: Mapping[str, str],
) -> ClaimResult:
    comparison = claim.comparison
    arms = _arms(comparison.pairs)
    missing = dict.fromkeys(failing[arm] for arm in arms if arm in failing)
    verdict: Verdict = "incomplete" if missing else _verdict(claim, difference, p)
    more = None if verdict != "undecided" or difference is None else _more_seeds(claim, difference, LEVEL / claims)
    what = f"{_compared(comparison.pairs)}, {comparison.metric.replace('_', ' ')}"
    parts = [
        f"{what}: {_found(claim, difference, p)}.",
        _outlook(difference, more) if verdict == "undecided" else "",
        _left_out(comparison, values),
        f"It can't be judged: {', '.join(missing)}." if missing else "",
    ]
    return ClaimResult(
        text=claim.text,
        verdict=verdict,
        reason=" ".join(part for part in parts if part),
        difference=difference,
        p_corrected=p,
        more_seeds=more,
        metric=comparison.metric,
        provisional=bool(missing) or any(arm in unfinished for arm in arms),
    )


def _arms(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """The arms that are compared, each once."""
    return tuple(dict.fromkeys(arm for pair in pairs for arm in (pair.arm, pair.than)))


def _compared(pairs: Sequence[Pair]) -> str:
    """`ramp - grid`, `ramp - grid after 25 % of the epochs`, `(ramp - grid) - (slow - grid)`."""
    texts = [
        f"{pair.arm} - {pair.than}" + (f" after {100 * pair.at:.3g} % of the epochs" if pair.at else "")
        for pair in pairs
    ]
    return texts[0] if len(texts) == 1 else " - ".join(f"({text})" for text in texts)


def _verdict(claim: Claim, difference: Paired | None, p: float | None) -> Verdict:
    if difference is None or p is None or p >= LEVEL:
        return "undecided"
    return "supported" if (difference.difference > _margin(claim)) == bool(claim.greater) else "contradicted"


def _found(claim: Claim, difference: Paired | None, p: float | None) -> str:
    """The difference, what it rests on, and where its interval lies."""
    metric = claim.comparison.metric
    if difference is None:
        return "no seed in common so far; an interval needs two"
    points = " points" if is_accuracy(metric) else ""
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


def _left_out(comparison: Comparison, values: Mapping[str, Values]) -> str:
    """Says so where a comparison of losses is without the seeds that diverged."""
    metric = comparison.metric
    if is_accuracy(metric):
        return ""
    accuracy: Metric = "test_accuracy" if metric == "test_loss" else "validation_accuracy"
    lost = [
        f"{arm} has no loss under {count(n, 'seed')} that diverged or overflowed"
        for arm in _arms(pair for pair in comparison.pairs if pair.at is None)
        if (n := len(values[arm][accuracy].keys() - values[arm][metric].keys()))
    ]
    return f"Left out: {', '.join(lost)}." if lost else ""
