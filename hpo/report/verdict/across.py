"""An arm against its baseline over all settings of a study.

Settings are of different difficulty, so differences are taken within each of them, unit by unit. The probability that
the arm is better is that of one run of it against one of the baseline, in a setting drawn at random; the interquartile
mean leaves out the lowest and the highest quarter of all differences. Their intervals are percentile bootstraps that
draw the units anew within each setting (Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical
Precipice).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.evidence.measured import Values
from hpo.evidence.statistics import CONFIDENCE, RESAMPLES, Paired, paired
from hpo.metric import Metric
from hpo.study import StudySpec

if TYPE_CHECKING:
    import numpy as np

FEWEST_SETTINGS = 4
"""Settings of which quarters can be left out."""


@dataclass(frozen=True, slots=True)
class Share:
    """A number with the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Across:
    """What an arm gains over all settings."""

    way: str
    """The arm, as the file calls it."""
    settings: int
    better_in: int
    """Settings in which its mean is better than that of the baseline."""
    difference: Paired
    """Of the means over all settings, paired by unit."""
    better: Share
    """The probability that it is better."""
    interquartile_mean: Share | None
    """Of the differences; None where there are few settings."""


def across_settings(study: StudySpec, values: Mapping[str, Values], metric: Metric) -> tuple[Across, ...]:
    """Each arm that has a baseline, over the settings in which both have two units or more; none without settings."""
    ways = dict.fromkeys(spec.way for spec in study.arms.values() if spec.way)
    found = (_across(way, study, values, metric) for way in ways)
    return tuple(each for each in found if each is not None)


def _across(way: str, study: StudySpec, values: Mapping[str, Values], metric: Metric) -> Across | None:
    import numpy as np

    sides = [
        (values[arm][metric.name], values[study.baseline_of(arm)][metric.name])
        for arm in study.meant_by(way)
        if study.baseline_of(arm) != arm
    ]
    units = sorted(set.intersection(*({*a} & {*b} for a, b in sides))) if sides else []
    if len(sides) < 2 or len(units) < 2:
        return None
    a, b = (np.array([[side[place][unit] for unit in units] for side in sides]) for place in (0, 1))
    means = [dict(zip(units, of.mean(axis=0).tolist(), strict=True)) for of in (a, b)]
    difference = paired(means[0], means[1])
    assert difference is not None
    sign = 1.0 if metric.goal == "maximize" else -1.0
    drawn = np.random.default_rng(0).integers(0, len(units), (RESAMPLES, *a.shape))
    rows = np.arange(len(sides))[:, None]
    resampled = [(a[rows, each], b[rows, each]) for each in drawn]
    better = _share(_probability(sign * a, sign * b), [_probability(sign * x, sign * y) for x, y in resampled])
    middle = None
    if len(sides) >= FEWEST_SETTINGS:
        middle = _share(_interquartile_mean(a - b), [_interquartile_mean(x - y) for x, y in resampled])
    won = int((sign * (a - b).mean(axis=1) > 0).sum())
    return Across(way, len(sides), won, difference, better, middle)


def _probability(a: np.ndarray, b: np.ndarray) -> float:
    """That one of a is greater than one of b of the same setting, ties counted half; of (settings, units) each."""
    return float(((a[:, :, None] > b[:, None, :]) + 0.5 * (a[:, :, None] == b[:, None, :])).mean())


def _interquartile_mean(values: np.ndarray) -> float:
    import numpy as np

    ordered = np.sort(values, axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def _share(value: float, resampled: list[float]) -> Share:
    import numpy as np

    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Share(value, float(low), float(high))
