"""How far a program is: what it has reported, unit by unit, and what that means for its trial."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.process import pulse
from hpo.trainers.program.checkpoint import Checkpoint
from hpo.trainers.program.process import ProgramFailed
from hpo.trainers.program.spec import ProgramSpec, filled
from hpo.trainers.program.values import LEARNING_RATE, Values
from hpo.trainers.trainer import Evaluation, Trial

MOST_METRICS, LONGEST_NAME = 256, 128
"""What a program may report at once."""
LARGEST = 1e100
"""What is larger has diverged as surely as what is infinite."""


class Progress:
    """The progress of one trial, from `begin` on."""

    def __init__(self, trial: Trial, begin: Checkpoint | None = None) -> None:
        self.config: ProgramSpec = trial.config
        self.at = begin.at if begin else 0
        self.values = Values(self.config, begin.strengths if begin else None)
        self.metrics: Mapping[str, float] = begin.metrics if begin else {}
        self.values.measured(self.metrics)
        self.values.turn(self.at)
        self._trial = trial
        self._reported_at = self._heard_at = time.monotonic()

    @property
    def how_far(self) -> str:
        """Its progress in words."""
        return f"{self.at} of {self.config.units} units"

    def words(self, command: Sequence[str], folder: Path) -> list[str]:
        """The words of a command, with what stands for the trial's own, `folder` among it, and for its values."""
        own = {"seed": self._trial.seed, "dir": str(folder), "length": self.config.units, "at": 0}
        return [filled(word, self.values.stated() | own) for word in command]

    def heard(self) -> None:
        """The program has given a sign of life."""
        self._heard_at = time.monotonic()
        pulse.beat()

    def check_silence(self, tail: Callable[[], str]) -> None:
        """See that the program has not been silent for too long.

        Raises:
            ProgramFailed: it has.
        """
        pulse.beat()  # it may train for as long as the study allows without a word
        if time.monotonic() - self._heard_at > self.config.silence:
            raise ProgramFailed(f"the program has not reported anything for {self.config.silence:g} seconds{tail()}")

    def report(self, at: int, metrics: Mapping[str, Any], save: Callable[[], bytes] | None) -> bool:
        """Pass on what was reported of the unit that makes `at`; whether the trial goes on.

        Raises:
            ProgramFailed: it makes no sense.
        """
        if at != self.at + 1 or at > self.config.units:
            raise ProgramFailed(f"the program reported unit {at} after {self.how_far}")
        self.metrics = self._checked(metrics)
        now = time.monotonic()
        evaluation = Evaluation(at, now - self._reported_at, {**self.metrics, **self._traced()})
        self.at, self._reported_at = at, now
        self.values.measured(self.metrics)
        goes_on = self._trial.report(evaluation, save)
        return goes_on and evaluation.is_finite(self.config.reported)

    def turn(self) -> None:
        """Let policies answer to what was reported, at the boundary of two units."""
        self.values.turn(self.at)

    def checkpoint(self, program: str, marks: Sequence[float] = ()) -> Checkpoint:
        """What another worker must know to go on from here; `program` is a digest of what the program was given."""
        return Checkpoint(self.at, self.values.strengths, self.metrics, marks, program)

    def check_test(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """The metrics of test, which are needed in the confirm phase alone.

        Raises:
            ProgramFailed: they are missing there.
        """
        wanted = f"test_{self.config.metric.name}"
        if not self._trial.scores_test:
            return {}
        if wanted not in metrics:
            raise ProgramFailed(f"the confirm phase is scored on test, but the program did not give {wanted}")
        for name, value in metrics.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ProgramFailed(f"the program gave {name} = {value!r} on test, which is not a number")
        return {name: float(value) for name, value in metrics.items()}

    def _checked(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        wanted = f"validation_{self.config.metric.name}"
        if wanted not in metrics:
            raise ProgramFailed(self._lacks(wanted, metrics))
        if len(metrics) > MOST_METRICS or any(len(name) > LONGEST_NAME for name in metrics):
            raise ProgramFailed(
                f"the program reported {len(metrics)} numbers; at most {MOST_METRICS} are kept, with names of at most "
                f"{LONGEST_NAME} characters"
            )
        wrong = [name for name, value in metrics.items() if not isinstance(value, int | float)]
        if wrong:
            raise ProgramFailed(f"the program reported {wrong[0]} = {metrics[wrong[0]]!r}, which is not a number")
        return {name: _number(value) for name, value in metrics.items()}

    def _lacks(self, wanted: str, metrics: Mapping[str, Any]) -> str:
        """What to say of a report without the metric that is `wanted`: either side may be meant."""
        ways = f"report {self.config.metric.name}"
        of_validation = [name.removeprefix("validation_") for name in metrics if name.startswith("validation_")]
        if of_validation:
            ways += f', or set metric = {{ name = "{of_validation[0]}", goal = … }} in the study file'
        said = ", ".join(metrics) or "nothing"
        return f"the program did not report {wanted}, by which trials are judged: {ways}; it reported {said}"

    def _traced(self) -> dict[str, float]:
        """What moved, as the program was given it last, by the names under which curves keep it."""
        moved = self.values.asked
        if self.values.moving and not moved:
            raise ProgramFailed(
                f"the study moves {', '.join(self.values.moving)}, but the program does not ask for them: "
                "call trial.drive(optimizer, at=…) or trial.moved(at)"
            )
        return {name if name == LEARNING_RATE else f"strength.{name}": value for name, value in moved.items()}


def _number(value: float) -> float:
    return float(value) if abs(value) <= LARGEST else math.nan
