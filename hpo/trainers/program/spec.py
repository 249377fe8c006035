"""What a study file says of a trial that is a program."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, NonNegativeFloat, PositiveFloat, model_validator

from hpo.metric import SPLITS, Goal, Metric, MetricName
from hpo.spec import Name, Spec
from hpo.trainers.moving.policies import Hold, Policy
from hpo.trainers.moving.schedules import Schedule


class MetricSpec(Spec):
    """A number that the program reports, of train, of validation and of test."""

    name: MetricName
    """What it is called where it is reported: `loss`."""
    goal: Goal = "minimize"
    """Whether a higher or a lower value is better."""
    share: bool = False
    """Whether it is a share, 0..1, to be shown in percent."""
    worst: float | None = None
    """What a trial that diverged counts as; without it such a trial ranks last and decides no claim."""

    def of_all_splits(self) -> dict[str, Metric]:
        """The metric of each split, by name: `validation_loss`."""
        metric = Metric(name=self.name, goal=self.goal, share=self.share, worst=self.worst)
        return {one.name: one for one in map(metric.of, SPLITS)}


class Strength(Spec):
    """A value that a policy moves, such as a weight decay."""

    strength: NonNegativeFloat
    """The value as stated; the policy multiplies or replaces it as the trial goes on."""
    policy: Policy = Hold()
    """How it moves while the trial trains."""


def _one_of_its_kind(value: Any) -> Any:
    """A table with `kind` is a schedule, one with `strength` is moved by a policy; anything else is a value."""
    if isinstance(value, Mapping) and "kind" in value:
        return _Scheduled.model_validate({"schedule": dict(value)}).schedule
    if isinstance(value, Mapping) and "strength" in value:
        return Strength.model_validate(dict(value))
    return value


class _Scheduled(Spec):
    schedule: Schedule


Value = Annotated[Strength | Schedule | JsonValue, BeforeValidator(_one_of_its_kind)]
"""What the program is given under a name: a number, text, list or table; or one that moves."""


def _words(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"{error}; it is split into words as a shell would, and run without one") from None
    if not words:
        raise ValueError("the command has no words")
    return command


class ProgramSpec(Spec):
    """One trial: a program that trains, what it is given, what it reports, and how long it is."""

    program: Annotated[str, Field(max_length=4096), AfterValidator(_words)]
    """The command, such as `python train.py`: split into words as a shell would, and run without a shell."""
    code: tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...] = Field(default=(), max_length=256)
    """Files that the result depends on; a worker on which they are others is refused."""
    length: dict[Name, Annotated[int, Field(ge=1, le=100_000_000)]] = Field(min_length=1, max_length=1)
    """How long a trial is, in a unit of your choice: `{ epochs = 20 }`. The program reports once a unit."""
    metric: MetricSpec
    """What trials are judged by, on validation."""
    metrics: tuple[MetricSpec, ...] = Field(default=(), max_length=32)
    """Further metrics that are reported."""
    values: dict[Name, Value] = Field(default={}, max_length=256)
    """What the program is given, by name."""
    silence: PositiveFloat = 3600.0
    """Seconds without a word from the program after which it counts as hung, and the trial has failed."""
    grace: PositiveFloat = 30.0
    """Seconds that the program has to come to the end of a unit when the trial is to be let go, before it is killed."""

    @model_validator(mode="after")
    def _each_metric_once(self) -> Self:
        names = [self.metric.name, *(metric.name for metric in self.metrics)]
        if len(set(names)) < len(names):
            raise ValueError(f"metrics: a name stands twice in {', '.join(names)}")
        return self

    @property
    def reported(self) -> dict[str, Metric]:
        """All metrics, by name and split."""
        found: dict[str, Metric] = {}
        for metric in (self.metric, *self.metrics):
            found |= metric.of_all_splits()
        return found

    @property
    def units(self) -> int:
        """The length, as a number."""
        return next(iter(self.length.values()))
