"""What is searched, and how a point of the search space becomes a trial.

Searched names are dotted paths into the trial (`lr.peak`, `regularizers.l2.policy.direction`). Optuna stores and shows
numbers, texts and booleans only; a value that is a list or a table is searched under a label.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from hpo.errors import StudyFileError
from hpo.spec import Spec
from hpo.words.explain import shown
from hpo.words.suggest import did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Label = bool | int | float | str
"""A parameter's value as Optuna stores it."""
Params = dict[str, Label]
"""A point of the search space: dotted path -> value or label."""

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""The shares of a range that is too long to be tried step by step, where a trial is checked besides the ends."""
MOST_STEPS = 16


class Range(Spec):
    """All numbers from `low` to `high`, both included."""

    low: float
    """The smallest value."""
    high: float
    """The largest value."""
    log: bool = False
    """Search on a logarithmic scale, as is usual for strengths and learning rates."""
    step: float | None = Field(default=None, gt=0.0)
    """The distance between neighbours, if only low, low + step, low + 2 step, … are searched."""
    integer: bool = False
    """Whether only whole numbers are searched."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"log = true needs low above 0, not {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log = true and step can't be used together")
        if self.step is not None and (self.high - self.low) / self.step > 1e9:
            raise ValueError(f"steps of {self.step:g} from {self.low:g} to {self.high:g} are too many")
        if self.integer and not all(float(x).is_integer() for x in (self.low, self.high, self.step or 1)):
            raise ValueError("integer = true needs whole numbers for low, high and step")
        return self

    def distribution(self) -> BaseDistribution:
        """The range in Optuna's terms."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def examples(self) -> list[Label]:
        """Values to check a trial with: both ends as they are written, if steps reach the high one."""
        ends = [self.low, self.high] if self._steps is None or self._step_at(self._steps) == self.high else [self.low]
        return [self._number(end) for end in ends]

    def between(self) -> list[Label]:
        """Further values to check it with: every step where they are few, else some, rounded to be readable."""
        if self._steps is None:
            values = [_rounded(self._at(share), 3) for share in SHARES]
        elif self._steps <= MOST_STEPS:
            values = [self._step_at(place) for place in range(1, self._steps + 1)]
        else:
            values = [self._step_at(round(share * self._steps)) for share in SHARES]
        return [self._number(value) for value in values if self.low < value < self.high]

    def decode(self, label: Label) -> Any:
        return label

    @property
    def _steps(self) -> int | None:
        """How many steps fit between the ends; None where every number counts."""
        step = self.step or (1.0 if self.integer else None)
        return None if step is None else math.floor((self.high - self.low) / step * (1 + 1e-12))

    def _step_at(self, place: int) -> float:
        return _rounded(self.low + place * (self.step or 1.0), 12)

    def _at(self, share: float) -> float:
        if self.log:
            return math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        return self.low + share * (self.high - self.low)

    def _number(self, value: float) -> float:
        return int(value) if self.integer else value


class Values(Spec):
    """One of several values: a list, or a table of named values where each is a list or table itself."""

    values: Annotated[tuple[Any, ...] | dict[str, Any], Field(min_length=1, max_length=256)]
    """A list, or a table of label = value, where each value is a list or a table itself."""
    then: dict[str, dict[str, Searched]] = {}
    """Label -> what is searched in addition if that label is chosen, by dotted path, such as a range that only makes
    sense for one optimizer."""

    @model_validator(mode="before")
    @classmethod
    def _by_path(cls, data: Any) -> Any:
        then = data.get("then") if isinstance(data, dict) else None
        if not isinstance(then, dict):
            return data
        flat = {label: by_path(below) if isinstance(below, dict) else below for label, below in then.items()}
        return data | {"then": flat}

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        try:
            labels = self.labels()
        except TypeError:
            raise ValueError("values must be numbers, texts, true or false, or lists and tables of these") from None
        if len(set(labels)) != len(labels):  # 1, 1.0 and true are the same to Optuna
            raise ValueError(f"a value is listed twice in {labels}")
        return self

    @model_validator(mode="after")
    def _after_a_label(self) -> Self:
        known = [label_key(label) for label in self.labels()]
        for label, below in self.then.items():
            if label not in known:
                allowed = ", ".join(known)
                raise ValueError(
                    f"then: no value has the label {label!r}; labels: {allowed}{did_you_mean(label, known)}"
                )
            deeper = [path for path, searched in below.items() if isinstance(searched, Values) and searched.then]
            if deeper:
                raise ValueError(f"then.{label}: {deeper[0]} can't have a `then` of its own")
        return self

    def labels(self) -> list[Label]:
        """The names under which Optuna knows the values: numbers and texts as they are, others by their JSON."""
        return [label for label, _ in self._pairs()]

    def distribution(self) -> BaseDistribution:
        """A categorical distribution over the labels."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.labels())

    def examples(self) -> list[Label]:
        """Values to check a trial with: all of them."""
        return self.labels()

    def between(self) -> list[Label]:
        """There are no others."""
        return []

    def decode(self, label: Label) -> Any:
        """The value that `label` stands for."""
        if isinstance(self.values, dict):
            return self.values[str(label)]
        return next(value for known, value in self._pairs() if known == label)

    def _pairs(self) -> list[tuple[Label, Any]]:
        if isinstance(self.values, dict):
            return list(self.values.items())
        return [(v if isinstance(v, Label) else json.dumps(v, sort_keys=True), v) for v in self.values]


def label_key(label: Label) -> str:
    """A label as the key of a table: a text as it is, others as TOML writes them."""
    return label if isinstance(label, str) else json.dumps(label)


def _which(data: Any) -> str:
    values = "values" in data if isinstance(data, Mapping) else isinstance(data, Values)
    return "values" if values else "range"


Searched = Annotated[Annotated[Range, Tag("range")] | Annotated[Values, Tag("values")], Discriminator(_which)]


Values.model_rebuild()


def by_path(search: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Search tables by dotted path, whether written `search."lr.peak"` or `search.lr.peak`."""
    flat: dict[str, Any] = {}
    for key, value in search.items():
        path = f"{above}{key}"
        nested = isinstance(value, dict) and value and all(isinstance(below, dict) for below in value.values())
        found = by_path(value, f"{path}.") if nested and "values" not in value else {path: value}
        for name in found:
            if name in flat:
                raise ValueError(f"search: {name!r} is given twice, once as a nested table and once as a dotted path")
        flat |= found
    return flat


def merge(base: Mapping[str, Any], over: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """`over` laid over `base`, table by table; a table that names another `kind` replaces the whole one below it.

    A table of numbers over a list sets its elements: `hidden.0 = 64`.

    Raises:
        StudyFileError: a list has no such element; the path is given below `where`.
    """
    merged = dict(base)
    for key, value in over.items():
        below, path = merged.get(key), f"{where}.{key}" if where else key
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            other_kind = "kind" in value and value["kind"] != below.get("kind")
            merged[key] = merge({} if other_kind else below, value, path)
        elif isinstance(below, list | tuple) and _are_places(value):
            merged[key] = _with_elements(below, value, path)
        else:
            merged[key] = value
    return merged


def _are_places(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) > 0 and all(str(key).isdigit() for key in value)


def _with_elements(base: Sequence[Any], over: Mapping[str, Any], where: str) -> list[Any]:
    """A list with the elements replaced that `over` names by their place, from 0."""
    places = {str(place): value for place, value in enumerate(base)}
    for key in over:
        if key not in places:
            last = f", 0 to {len(base) - 1}" if base else ""
            raise StudyFileError(f"{where}: there is no element {shown(key)}; the list has {len(base)} elements{last}")
    return list(merge(places, over, where).values())


def overlay(base: Mapping[str, Any], values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """`base` with each dotted path of `values` set; what decides on a `kind` comes first, so that the rest counts.

    Raises:
        StudyFileError: a list has no such element; the path is given below `where`.
    """
    for path in sorted(values, key=lambda path: (path.removesuffix(".kind").count("."), path)):
        nested = values[path]
        for key in reversed(path.split(".")):
            nested = {key: nested}
        base = merge(base, nested, where)
    return dict(base)


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
