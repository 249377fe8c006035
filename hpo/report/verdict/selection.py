"""How good an arm would be with fewer trials: the expected best of n.

The highest of N scores grows with N, whatever an arm is worth, so arms that tried unequally many are compared at the
same n: the mean of the highest over all ways to draw n of the N without replacement,

    E[best of n] = sum over i = n..N of C(i - 1, n - 1) / C(N, n) * s(i),   s(1) <= ... <= s(N),

the unbiased estimator where trials are drawn independently, as by random search, and exact for a random part of a
grid. The proposals of TPE and CMA-ES improve as they learn: there the curve is too high for small n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from hpo.metric import Metric
from hpo.storage.rows import Cell

MOST_POINTS = 100
"""Points of a curve; of more trials, about so many n are chosen, closer together where they are small: powers of 4
always."""


@dataclass(frozen=True, slots=True)
class BestOf:
    """What n of an arm's trials would have cost and found."""

    n: int
    epochs: float
    """That they train on average."""
    score: float
    """The expected best, by the objective on validation."""


def expected_best(metric: Metric, cells: Sequence[Cell], include: int) -> tuple[BestOf, ...]:
    """Expect the best for n from one to all of the configurations that an arm's search phase tried; of many, `include`
    is among them.

    A pruned trial counts with the score at which it was stopped, by which it would hardly have been chosen, a diverged
    one with the metric's worst value; repeats of a configuration count as one, with their mean. Without the pruned
    ones, a trial of an arm that prunes would seem better and dearer than it is. A diverged trial of a metric without a
    worst value counts with the worst score that the arm has.
    """
    done = sorted((cell for cell in cells if cell.state == "done"), key=lambda cell: cell.slot)
    slots = [list(same) for _, same in groupby(done, key=lambda cell: cell.slot)]
    if not slots:
        return ()
    means = [metric.mean(cell.score for cell in same) for same in slots]
    known = [score for score in means if score is not None]
    if not known:
        return ()
    worst = max(known, key=metric.place)
    scores = sorted((worst if score is None else score for score in means), key=metric.place, reverse=True)
    each = sum(cell.epochs for cell in done) / len(slots)
    return tuple(BestOf(n, n * each, best_of(scores, n)) for n in _chosen(len(scores), include))


def best_of(scores: Sequence[float], n: int) -> float:
    """The expected best of `n` of the `scores`, the worst of which comes first, drawn without replacement."""
    total = len(scores)
    weight, expected = n / total, 0.0  # of the best score: that it is among the n
    for place in range(total, n - 1, -1):
        expected += weight * scores[place - 1]
        weight *= (place - n) / (place - 1) if place > 1 else 0
    return expected


def _chosen(total: int, include: int) -> list[int]:
    if total <= MOST_POINTS:
        return list(range(1, total + 1))
    spaced = {round(total ** (step / (MOST_POINTS - 1))) for step in range(MOST_POINTS)}
    powers = {4**power for power in range(total.bit_length() // 2 + 1)}
    return sorted(n for n in spaced | powers | {include} if 1 <= n <= total)
