"""A metric: what a number that trials report means. Nothing else in the project knows which direction is better."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Annotated, Literal

from pydantic import StringConstraints

Goal = Literal["maximize", "minimize"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
MetricName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number by which trials are judged: its name, its goal, and what a trial that diverged is worth."""

    name: str
    """What it is called where it is reported."""
    goal: Goal = "minimize"
    """Whether a higher or a lower value is better."""
    share: bool = False
    """Whether it is a share, 0..1: then it is shown in percent, and its differences in points."""
    worst: float | None = None
    """What a diverged trial counts as: the loss of guessing, an accuracy of 0. Without it a diverged trial ranks last,
    is left out of means, and no claim is decided by the trials that survived."""
    unit: str = ""
    """What an axis is labelled with."""

    def of(self, split: Split) -> Metric:
        """The metric as it is measured on `split`: `validation_accuracy`."""
        return replace(self, name=f"{split}_{self.name}")

    def on(self, split: Split) -> Metric:
        """Return the same metric of another split: `test_accuracy` for `validation_accuracy`."""
        return replace(self, name=f"{split}_{self.base}")

    @property
    def base(self) -> str:
        """The name without the split: `accuracy`."""
        return self.name.partition("_")[2]

    @property
    def split(self) -> str:
        """The split that it is measured on."""
        return self.name.partition("_")[0]

    @property
    def words(self) -> str:
        """Its name in a sentence: `validation accuracy`."""
        return self.name.replace("_", " ")

    @property
    def highest(self) -> str:
        """Which value is the best, in a word."""
        return "highest" if self.goal == "maximize" else "lowest"

    @property
    def beyond(self) -> str:
        """The side on which of the others a worse value lies."""
        return "below" if self.goal == "maximize" else "above"

    @property
    def factor(self) -> float:
        """The number by which a value is multiplied where it is shown."""
        return 100.0 if self.share else 1.0

    @property
    def axis(self) -> str:
        """The unit of what is shown; empty if there is none."""
        return "%" if self.share else self.unit

    def is_better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better than `other`."""
        return one > other if self.goal == "maximize" else one < other

    def place(self, value: float | None) -> float:
        """A key by which values are sorted, the best first; one that is not known is last."""
        if value is None:
            return math.inf
        return -value if self.goal == "maximize" else value

    def mean(self, scores: Iterable[float | None]) -> float | None:
        """The mean of scores; None if one of them is not known, since what ranks last has no mean."""
        known = list(scores)
        return None if None in known else fmean(score for score in known if score is not None)

    @property
    def last(self) -> float:
        """What a pruner and a sampler are told of a diverged trial: the worst value, or the worst number there is."""
        if self.worst is not None:
            return self.worst
        return -math.inf if self.goal == "maximize" else math.inf
