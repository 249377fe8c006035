"""The parameters of an arm's search space, and its points.

A parameter's name is the dotted path that it sets in the trial. One that is searched only where a choice has a certain
label (`then`) is named after both, such as `lr.peak if optimizer=adam`, so that Optuna keeps it apart from what another
label has in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from hpo.search.space import Label, Params, Range, Values, label_key

Search = Mapping[str, Range | Values]
"""Dotted path -> what is searched there, as an arm states it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that is searched."""

    path: str
    """What it sets in the trial."""
    searched: Range | Values
    choice: str | None = None
    """The choice under which it exists; None if it always does."""
    label: str | None = None
    """The label that the choice must have."""

    def exists(self, params: Params) -> bool:
        """Whether a point that has these labels so far has this parameter."""
        return self.choice is None or label_key(params[self.choice]) == self.label


def parameters(search: Search) -> dict[str, Parameter]:
    """All parameters by name, a choice before what stands under it."""
    found: dict[str, Parameter] = {}
    for path, searched in search.items():
        found[path] = Parameter(path, searched)
        if isinstance(searched, Values):
            for label, below in searched.then.items():
                for inner, what in below.items():
                    found[f"{inner} if {path}={label}"] = Parameter(inner, what, path, label)
    return found


def point(search: Search, choose: Callable[[str, Range | Values], Label]) -> Params:
    """A point of the space, with `choose(name, what is searched)` for every parameter that it has."""
    params: Params = {}
    for name, parameter in parameters(search).items():
        if parameter.exists(params):
            params[name] = choose(name, parameter.searched)
    return params


def grid(search: Search) -> Iterator[Params]:
    """Every combination of the values once, the last path varying fastest; what doesn't exist there is left out."""
    for combination in product(*(list(_choices(path, searched)) for path, searched in search.items())):
        yield {name: label for chosen in combination for name, label in chosen.items()}


def grid_size(search: Search) -> int:
    """How many points a grid has, without listing them; a range, which no grid can have, counts as one."""
    return math.prod(_size(searched) for searched in search.values())


def decode(search: Search, params: Params) -> dict[str, Any]:
    """A point as the study file wrote its values, by path; a name that is not searched is an error (KeyError)."""
    known = parameters(search)
    return {known[name].path: known[name].searched.decode(label) for name, label in params.items()}


def _choices(path: str, searched: Range | Values) -> Iterator[Params]:
    """The labels of one path, each with every combination of what is searched where it is chosen."""
    if isinstance(searched, Range):
        return
    for label in searched.labels():
        key = label_key(label)
        below = searched.then.get(key, {})
        for inner in grid(below):
            yield {path: label} | {f"{name} if {path}={key}": value for name, value in inner.items()}


def _size(searched: Range | Values) -> int:
    if isinstance(searched, Range):
        return 1
    return sum(grid_size(searched.then.get(label_key(label), {})) for label in searched.labels())
