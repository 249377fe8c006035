"""Whether a claim holds: the interval of the paired difference against the margin that the claim names."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hpo.report.numbers import change, count, is_accuracy, p_value, signed
from hpo.report.results import ClaimResult, Verdict
from hpo.report.statistics import Paired, paired
from hpo.study import Claim, Comparison, Metric

Values = Mapping[str, Mapping[Metric, Mapping[int, float]]]
"""Arm -> metric -> seed -> value."""


def judge(claim: Claim, values: Values, incomplete: Collection[str]) -> ClaimResult:
    """The verdict on `claim`; it is provisional if one of its arms is `incomplete`."""
    comparison = claim.comparison
    metric = comparison.metric
    difference = paired(values[comparison.arm][metric], values[comparison.than][metric])
    verdict, where = _verdict(claim, difference)
    return ClaimResult(
        text=claim.text,
        verdict=verdict,
        reason=_reason(comparison, difference, where) + _left_out(comparison, values),
        difference=difference,
        metric=metric,
        provisional=comparison.arm in incomplete or comparison.than in incomplete,
    )


def _verdict(claim: Claim, difference: Paired | None) -> tuple[Verdict, str]:
    if difference is None or difference.low is None or difference.high is None:
        return "undecided", "an interval needs two"
    by = claim.comparison.by
    margin = by if claim.greater else -by
    limit = "0" if by == 0 else signed(margin, claim.comparison.metric)
    # Rounded, so that 0.91 - 0.90 doesn't exceed a margin of 0.01.
    low, high, margin = (round(x, 12) for x in (difference.low, difference.high, margin))
    if low > margin:
        return ("supported" if claim.greater else "contradicted"), f"all of it is above {limit}"
    if high < margin:
        return ("contradicted" if claim.greater else "supported"), f"all of it is below {limit}"
    return "undecided", f"it does not exclude {limit}"


def _reason(comparison: Comparison, difference: Paired | None, where: str) -> str:
    metric = comparison.metric
    what = f"{comparison.arm} - {comparison.than}, {metric.replace('_', ' ')}"
    if difference is None:
        return f"{what}: no seed in common so far; {where}."
    points = " points" if is_accuracy(metric) else ""
    p = f" ({p_value(difference.p)})" if difference.p is not None else ""
    over = count(difference.n, "paired seed")
    return f"{what}: {change(difference, metric)}{points} over {over}{p}; {where}."


def _left_out(comparison: Comparison, values: Values) -> str:
    """Says so where a comparison of losses is without the seeds that diverged."""
    metric = comparison.metric
    if is_accuracy(metric):
        return ""
    accuracy: Metric = "test_accuracy" if metric == "test_loss" else "validation_accuracy"
    lost = [
        f"{arm} has no loss under {count(n, 'seed')} that diverged or overflowed"
        for arm in (comparison.arm, comparison.than)
        if (n := len(values[arm][accuracy].keys() - values[arm][metric].keys()))
    ]
    return f" Left out: {', '.join(lost)}." if lost else ""
