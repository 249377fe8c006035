"""What is searched, and how a point of the search space becomes a trial.

Searched names are dotted paths into the trial (`lr.peak`, `regularizers.l2.policy.direction`). Optuna stores and shows
numbers, texts and booleans only; a value that is a list or a table is searched under a label.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from hpo.spec import Spec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Label = bool | int | float | str
"""A parameter's value as Optuna stores it."""
Params = dict[str, Label]
"""A point of the search space: dotted path -> value or label."""


class Range(Spec):
    """All numbers from `low` to `high`, both included."""

    low: float
    """The smallest value."""
    high: float
    """The largest value."""
    log: bool = False
    """Search the logarithm: for strengths and learning rates."""
    step: float | None = Field(default=None, gt=0.0)
    """Only low, low + step, low + 2 step, …"""
    integer: bool = False
    """Only whole numbers."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"log = true needs low above 0, not {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log = true and step exclude each other")
        if self.step is not None and (self.high - self.low) / self.step > 1e9:
            raise ValueError(f"steps of {self.step:g} from {self.low:g} to {self.high:g} are too many")
        if self.integer and not all(float(x).is_integer() for x in (self.low, self.high, self.step or 1)):
            raise ValueError("integer = true needs whole numbers for low, high and step")
        return self

    def distribution(self) -> BaseDistribution:
        """The same range in Optuna's terms."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def examples(self) -> list[Label]:
        """Values to check a trial with: both ends and one between."""
        if self.integer:
            step = int(self.step or 1)
            return [int(self.low), int(self.low) + (int(self.high) - int(self.low)) // step * step]
        if self.step is not None:
            return [self.low, self.low + (self.high - self.low) // self.step * self.step]
        return [self.low, self.high, self.low + 0.382 * (self.high - self.low)]

    def decode(self, label: Label) -> Any:
        return label


class Values(Spec):
    """One of some values: a list, or a table of named values where each is a list or table itself."""

    values: Annotated[tuple[Any, ...] | dict[str, Any], Field(min_length=1, max_length=256)]
    """A list, or a table of label = value, where each value is a list or a table itself."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        try:
            labels = self.labels()
        except TypeError:
            raise ValueError("values are numbers, texts, true or false, and lists and tables of these") from None
        if len(set(labels)) != len(labels):  # 1, 1.0 and true are the same to Optuna
            raise ValueError(f"a value stands twice in {labels}")
        return self

    def labels(self) -> list[Label]:
        """The names under which Optuna knows the values: numbers and texts as they are, others by their JSON."""
        return [label for label, _ in self._pairs()]

    def distribution(self) -> BaseDistribution:
        """A categorical distribution over the labels."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.labels())

    def examples(self) -> list[Label]:
        return self.labels()

    def decode(self, label: Label) -> Any:
        """The value that `label` stands for."""
        if isinstance(self.values, dict):
            return self.values[str(label)]
        return next(value for known, value in self._pairs() if known == label)

    def _pairs(self) -> list[tuple[Label, Any]]:
        if isinstance(self.values, dict):
            return list(self.values.items())
        return [(v if isinstance(v, Label) else json.dumps(v, sort_keys=True), v) for v in self.values]


def _which(data: Any) -> str:
    values = "values" in data if isinstance(data, Mapping) else isinstance(data, Values)
    return "values" if values else "range"


Searched = Annotated[Annotated[Range, Tag("range")] | Annotated[Values, Tag("values")], Discriminator(_which)]


def grid(search: Mapping[str, Range | Values]) -> Iterator[Params]:
    """Every combination of the values, the last path varying fastest."""
    choices = [searched.labels() for searched in search.values() if isinstance(searched, Values)]
    for combination in product(*choices):
        yield dict(zip(search, combination, strict=True))


def decode(search: Mapping[str, Range | Values], params: Params) -> dict[str, Any]:
    """A point as the study file wrote its values. Paths that are no longer searched are an error (KeyError)."""
    return {path: search[path].decode(label) for path, label in params.items()}


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, table by table. A table that names another `kind` replaces the whole one below it."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            other_kind = "kind" in value and value["kind"] != below.get("kind")
            merged[key] = merge({} if other_kind else below, value)
        else:
            merged[key] = value
    return merged


def overlay(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with each dotted path of `values` set; what decides on a `kind` comes first, so that the rest counts."""
    for path in sorted(values, key=lambda path: (path.removesuffix(".kind").count("."), path)):
        nested = values[path]
        for key in reversed(path.split(".")):
            nested = {key: nested}
        base = merge(base, nested)
    return dict(base)
