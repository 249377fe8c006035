"""An arm: one way of answering a study's question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from hpo.search import DEFAULT_SAMPLER, Pruner, Sampler
from hpo.search.parameters import Parameter, parameters
from hpo.search.space import Searched, by_path
from hpo.spec import Name, Spec
from hpo.study.protocol import Budget


class Arm(Spec):
    """One way of answering the study's question."""

    trial: dict[str, Any] = {}
    """Changes to the study's trial, laid over it; a table that names another `kind` replaces the whole table."""
    sampler: Sampler = DEFAULT_SAMPLER
    """The sampler that proposes the points to try."""
    search: dict[str, Searched] = Field(default={}, max_length=32)
    """Dotted path into the trial -> the values or the range to search. If empty, the arm is a single configuration."""
    pruner: Pruner | None = None
    """A pruner for this arm, instead of the protocol's."""
    budget: Budget | None = None
    """A budget for this arm, instead of the protocol's."""
    baseline: Name | None = None
    """The arm that this one is compared with, instead of the protocol's."""
    way: Name | None = None
    """The arm's name in a file with settings, where one arm stands for all of them. Filled in by hpo; leave it out."""
    setting: Name | None = None
    """The setting that the arm is in, in a study with settings. Filled in by hpo; leave it out."""

    @model_validator(mode="before")
    @classmethod
    def _search_paths(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("search"), dict):
            return data | {"search": by_path(data["search"])}
        return data

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All that is searched, by the parameter's name, what stands under a choice included."""
        return parameters(self.search)

    @model_validator(mode="after")
    def _each_path_once(self) -> Self:
        """What is set by two parameters that a point may both have would depend on their order."""
        owner: dict[str, str | None] = {}
        for parameter in self.parameters.values():
            if owner.setdefault(parameter.path, parameter.choice) != parameter.choice:
                raise ValueError(f"search: {parameter.path!r} is searched twice, by itself or under several choices")
        return self


@dataclass(frozen=True, slots=True)
class ResolvedArm:
    """An arm with all that it takes from its study."""

    name: str
    spec: Arm
    trial: Mapping[str, Any]
    """The study's trial with the arm's laid over it; a point of its search space is laid over that."""
    length: int
    """Units of each of its trials."""
    stops_early: bool
    """Whether its trials may end before."""
    pruner: Pruner
    """What stops trials of its search."""
    budget: Budget | None
    """What its search may spend; None: what the largest grid does."""
