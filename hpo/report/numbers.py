"""How the numbers of a report are written, everywhere the same: shares in percent, others as they are."""

from __future__ import annotations

from typing import Any

from hpo.evidence.statistics import Paired, Summary
from hpo.metric import Metric

LARGEST_PLAIN = 1e6
"""Larger numbers are written with a power of ten."""
NONE = "–"
"""Stands where there is no number."""


def number(value: float | None, metric: Metric) -> str:
    """`97.42` for a share of 0.9742, `0.1234` for another number."""
    if value is None:
        return NONE
    if abs(value) >= LARGEST_PLAIN:
        return f"{value:.3e}"
    return f"{100 * value:z.2f}" if metric.share else f"{value:z.4f}"


def readable(value: Any) -> str:
    """A value of a configuration for people: three digits that count, `0.0982` for 0.0981598659692294."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(readable, value))}]"
    if isinstance(value, float):
        return f"{value:.0f}" if 1000 <= abs(value) < LARGEST_PLAIN else f"{value:.3g}"
    return str(value)


def signed(value: float, metric: Metric) -> str:
    """A difference, with its sign."""
    if abs(value) >= LARGEST_PLAIN:
        return f"{value:+.3e}"
    return f"{100 * value:+z.2f}" if metric.share else f"{value:+z.4f}"


def plus_minus(summary: Summary | None, metric: Metric) -> str:
    """Half the width of the interval: `± 0.31`."""
    if summary is None or summary.low is None or summary.high is None:
        return ""
    return f"± {number((summary.high - summary.low) / 2, metric)}"


def mean(summary: Summary | None, metric: Metric) -> str:
    """The mean with its interval: `97.42 ± 0.31`."""
    return f"{number(summary.mean if summary else None, metric)} {plus_minus(summary, metric)}".rstrip()


def ends(summary: Summary | None, metric: Metric) -> str:
    """The ends of the interval of a mean: `[97.11, 97.73]`."""
    if summary is None or summary.low is None or summary.high is None:
        return ""
    return f"[{number(summary.low, metric)}, {number(summary.high, metric)}]"


def interval(difference: Paired | None, metric: Metric) -> str:
    """The ends of the interval of a difference: `[-0.10, +0.94]`."""
    if difference is None or difference.low is None or difference.high is None:
        return ""
    return f"[{signed(difference.low, metric)}, {signed(difference.high, metric)}]"


def change(difference: Paired | None, metric: Metric) -> str:
    """A difference with its interval: `+0.42 [-0.10, +0.94]`."""
    if difference is None:
        return NONE
    return f"{signed(difference.difference, metric)} {interval(difference, metric)}".rstrip()


def p_value(p: float) -> str:
    """`p = 0.012`."""
    return f"p {probability(p)}" if p < 0.001 else f"p = {probability(p)}"


def probability(p: float | None) -> str:
    """`0.012`, `< 0.001`."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
