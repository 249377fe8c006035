"""What a program is given at each moment: values as stated, and those that move as they stand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate
from typing import Any

from pydantic import JsonValue

from hpo.errors import StudyFileError
from hpo.spec import Spec
from hpo.trainers.moving.clock import Clock, Observation
from hpo.trainers.program.spec import ProgramSpec, Strength

RESOLUTION = 10_000
"""Moments of a unit that are told apart: what moves is asked for at a share of a unit."""
MOMENTS = 20_000
"""Moments of a trial, at most, from which the highest learning rate so far is found."""
LEARNING_RATE = "lr"
"""The value that policies follow which follow the learning rate."""


class Values:
    """The values of one trial. What answers to scores answers at the boundaries of units alone, once at each.

    Its strengths go into a checkpoint as they are before the answer, so a trial that is resumed at a report gets the
    same values as one that was not interrupted, whatever moments the program asks for and in whatever order.
    """

    def __init__(self, config: ProgramSpec, strengths: Mapping[str, float] | None = None) -> None:
        self._config = config
        self._moving = {name: value for name, value in config.values.items() if isinstance(value, Spec)}
        stated = {name: value.strength for name, value in self._moving.items() if isinstance(value, Strength)}
        self.strengths: dict[str, float] = dict(strengths if strengths is not None else stated)
        """Those that policies move, as they are since the last boundary."""
        self.asked: dict[str, float] = {}
        """What the program was given last of what moves; empty if it has not asked."""
        self._train: Reported | None = None
        self._validation: Reported | None = None

    @property
    def moving(self) -> list[str]:
        """The names of the values that move."""
        return list(self._moving)

    def stated(self) -> dict[str, JsonValue]:
        """All of them as the study states them: a schedule by its peak, a strength by itself."""
        return {name: _stated(value) for name, value in self._config.values.items()}

    def measured(self, metrics: Mapping[str, float]) -> None:
        """Let policies see what was reported last."""
        if metrics:
            self._train, self._validation = Reported(metrics, "train"), Reported(metrics, "validation")

    def at(self, moment: float) -> dict[str, float]:
        """The values that move, after so many units; asking changes nothing."""
        return self._at(self._clock(moment), answering=False)

    def turn(self, unit: int) -> None:
        """Let policies answer at the boundary that makes so many units, once, to what was reported there."""
        self._at(self._clock(float(unit)), answering=True)

    def _clock(self, moment: float) -> Clock:
        step = math.floor(moment * RESOLUTION + 1e-6) if math.isfinite(moment) else 0
        return Clock(min(max(step, 0), self._config.units * RESOLUTION), RESOLUTION, self._config.units)

    def _at(self, clock: Clock, answering: bool) -> dict[str, float]:
        found = {name: value(clock) for name, value in self._moving.items() if not isinstance(value, Strength)}
        lr, highest = self._learning_rate(found, clock) if self.strengths else (math.nan, math.nan)
        # Between two boundaries nobody has measured anything: what answers to scores keeps what it has.
        scores = (self._train, self._validation) if answering else (None, None)
        for name, value in self._moving.items():
            if isinstance(value, Strength):
                seen = Observation(clock, value.strength, lr, highest, *scores)  # type: ignore[arg-type]
                found[name] = value.policy(self.strengths[name], seen)
        if answering:
            self.strengths |= {name: found[name] for name in self.strengths}
        return {name: found[name] for name in self._moving}

    def _learning_rate(self, moved: Mapping[str, float], clock: Clock) -> tuple[float, float]:
        """The learning rate now, and the highest one so far, where there is a value of that name."""
        if LEARNING_RATE in moved:
            lr, highest = moved[LEARNING_RATE], self._highest_rates
            return lr, max(lr, highest[clock.step * (len(highest) - 1) // clock.total_steps])
        stated = _stated(self._config.values.get(LEARNING_RATE))
        lr = float(stated) if isinstance(stated, int | float) else math.nan
        return lr, lr

    @cached_property
    def _highest_rates(self) -> list[float]:
        """The highest learning rate up to each of many moments, equally far apart, the boundaries of units among them.

        They are of the schedule alone, whatever the program has asked for; of a very long trial not all boundaries are.
        """
        schedule: Any = self._moving[LEARNING_RATE]
        units = self._config.units
        moments = units * min(MOMENTS // units, 100) or MOMENTS
        clocks = (Clock(part * units * RESOLUTION // moments, RESOLUTION, units) for part in range(moments + 1))
        return list(accumulate(map(schedule, clocks), max))


def _stated(value: Any) -> JsonValue:
    if isinstance(value, Strength):
        return value.strength
    if isinstance(value, Spec):
        return float(value.peak)  # type: ignore[attr-defined]
    return value  # type: ignore[no-any-return]


class Reported:
    """What a program has reported of one split, as policies look at it: what is missing can't be looked at."""

    def __init__(self, metrics: Mapping[str, float], split: str) -> None:
        self._metrics = metrics
        self._split = split

    @property
    def loss(self) -> float:
        return self.named("loss")

    @property
    def accuracy(self) -> float:
        return self.named("accuracy")

    def named(self, name: str) -> float:
        """The metric of this split that is called so."""
        full = f"{self._split}_{name}"
        if full not in self._metrics:
            said = ", ".join(self._metrics)
            raise StudyFileError(f"a policy looks at {full}, which the program does not report; it reports {said}")
        return self._metrics[full]
