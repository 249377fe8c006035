"""What a trial's time goes into besides its units, told with them: they are kept, whoever goes on with the trial.

    claim ── starting ── unit 1 ── storing ── unit 2 ── … ── last unit ── storing ── scoring at the end

A trainer tells of a unit how long it took, and may tell how much of that was scoring. What lies between two units is
the worker's own: checkpoints, the storage, the pruner. A program's units begin with the report before, so of them that
is a part.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from hpo.storage.rows import CurvePoint
from hpo.trainers.trainer import SCORING, SPENT, Evaluation

STARTING, STORING, REPEATED, AT_END = (f"{SPENT}{name}" for name in ("starting", "storing", "repeated", "at_end"))
"""Time from the claim to the first unit; between units; of an attempt before, what was trained in vain; after the last
unit, scoring and packing weights."""
BESIDE = (STARTING, STORING, REPEATED, AT_END)
"""What is not among the seconds of units."""
SHORTEST = 0.001
"""Seconds that are told; shorter ones would make curves longer and change no sum."""


class Spent:
    """The time of one attempt at a trial."""

    def __init__(self, claimed_at: float) -> None:
        """Begin where the trial was claimed, by the clock that `time.monotonic` reads."""
        self._reported_at = self._went_on_at = claimed_at
        self._has_reported = False

    def told(self, evaluation: Evaluation, repeated: float) -> Evaluation:
        """The evaluation of a unit that has just ended, with what lay before it; `repeated` seconds were in vain."""
        now = time.monotonic()
        # A unit that another worker began has its seconds too: then less is left for the start than it took.
        before = now - self._reported_at - evaluation.seconds
        found = {STORING if self._has_reported else STARTING: before, REPEATED: repeated}
        self._reported_at, self._has_reported = now, True
        return _with(evaluation, found)

    def goes_on(self) -> None:
        """All is done that follows from a report."""
        self._went_on_at = time.monotonic()

    def told_at_end(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation of the last unit, with what came after it."""
        stored = evaluation.metrics.get(STORING, 0.0) + self._went_on_at - self._reported_at
        return _with(evaluation, {STORING: stored, AT_END: time.monotonic() - self._went_on_at})


def in_vain(curve: Iterable[CurvePoint], at: int) -> float:
    """The seconds of units from `at` on that were trained before, with all that was told of them."""
    return sum(point.seconds + sum(_told(point.metrics).values()) for point in curve if point.at >= at)


def scoring(metrics: Mapping[str, float | None]) -> float | None:
    """The seconds of scoring among those of a unit, if its trainer tells them."""
    return metrics.get(SCORING)


def _told(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name in BESIDE if (value := metrics.get(name)) is not None}


def _with(evaluation: Evaluation, seconds: Mapping[str, float]) -> Evaluation:
    told = {name: round(value, 4) for name, value in seconds.items() if value >= SHORTEST}
    return replace(evaluation, metrics={**evaluation.metrics, **told}) if told else evaluation
