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
from hpo.evidence.statistics import RESAMPLES, Paired, paired, percentiles
from hpo.metric import Metric
from hpo.study import StudySpec

if TYPE_CHECKING:
    import numpy as np

FEWEST_SETTINGS = 4
"""Settings of which quarters can be left out."""
MOST_AT_ONCE = 10_000_000
"""Comparisons of two numbers that are made at once, for want of memory."""


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
    """The difference of the means over all settings, paired by unit."""
    better: Share
    """The probability that it is better."""
    interquartile_mean: Share | None
    """The mean of the middle half of all differences; None where there are few settings."""


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
    difference = paired(means[0], means[1], anytime=study.protocol.is_sequential)
    assert difference is not None
    sign = 1.0 if metric.goal == "maximize" else -1.0
    drawn = np.random.default_rng(0).integers(0, len(units), (RESAMPLES, *a.shape))
    rows = np.arange(len(sides))[:, None]
    better = _share(_probability(sign * a[None], sign * b[None])[0], _resampled(sign * a, sign * b, drawn))
    middle = None
    if len(sides) >= FEWEST_SETTINGS:
        gains = a - b
        middle = _share(_interquartile_mean(gains[None])[0], _interquartile_mean(gains[rows, drawn]))
    won = int((sign * (a - b).mean(axis=1) > 0).sum())
    return Across(way, len(sides), won, difference, better, middle)


def _resampled(a: np.ndarray, b: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The probability in every resample, some of them at a time: each compares every unit with every other."""
    import numpy as np

    rows, at_once = np.arange(len(a))[:, None], max(1, MOST_AT_ONCE // (a.size * a.shape[1]))
    parts = [drawn[begin : begin + at_once] for begin in range(0, len(drawn), at_once)]
    return np.concatenate([_probability(a[rows, part], b[rows, part]) for part in parts])


def _probability(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """That one of a is greater than one of b of the same setting, ties counted half: (n,) of (n, settings, units)."""
    above, equal = a[..., :, None] > b[..., None, :], a[..., :, None] == b[..., None, :]
    shares: np.ndarray = (above + 0.5 * equal).mean(axis=(1, 2, 3))
    return shares


def _interquartile_mean(values: np.ndarray) -> np.ndarray:
    """(n,) of (n, settings, units)."""
    import numpy as np

    ordered = np.sort(values.reshape(len(values), -1), axis=1)
    cut = ordered.shape[1] // 4
    means: np.ndarray = ordered[:, cut : ordered.shape[1] - cut].mean(axis=1)
    return means


def _share(value: float, resampled: np.ndarray) -> Share:
    return Share(float(value), *percentiles(resampled))
