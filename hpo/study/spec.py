"""The study file: one question, its arms, and how they are compared.

name, title       what the study is called
[trial]           the trial that every arm begins from
[protocol]        equal compute, pruning, the confirm phase, seeds
[arms.NAME]       one way of answering: what it changes in the trial, what it searches, and how
[[claims]]        statements that the study tests
[settings.NAME]   circumstances in which every arm runs
[search]          what all sampled arms search
[profiles.NAME]   values that --profile lays over all of it
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any, Self

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from hpo.errors import StudyError, StudyFileError
from hpo.metric import Metric
from hpo.search import NO_PRUNER
from hpo.search.parameters import decode
from hpo.search.space import Params, Searched, merge, overlay
from hpo.spec import Name, Spec
from hpo.study.arm import Arm, ResolvedArm
from hpo.study.claim import Claim, Contrast, Published
from hpo.study.protocol import Protocol
from hpo.study.settings import MOST_ARMS, Setting
from hpo.trainers import default_trainer, trainer_of
from hpo.trainers.trainer import Trainer
from hpo.words.explain import explain
from hpo.words.places import Places, places


class Source(Spec):
    """The publication whose experiment the study repeats."""

    document: str = Field(max_length=1000)
    """Author, title, year, or a file name."""
    where: str = Field(default="", max_length=1000)
    """Section, table or figure."""


class Extension(Spec):
    """What `hpo extend` has added to a study that was under way, and how far the study had come by then."""

    more_trials: PositiveInt | None = None
    """Further trials for every arm."""
    more_epochs: PositiveInt | None = None
    """Further epochs for every arm."""
    more_seeds: PositiveInt | None = None
    """Further seeds for every configuration that is confirmed."""
    when_done: NonNegativeInt
    """Trials that were done by then, so that their results could be seen."""
    of_planned: NonNegativeInt
    """Trials that were planned by then."""


class StudySpec(Spec):
    """One question, the arms that answer it, and how they are compared. `hpo.study.file` checks it as a whole."""

    name: Name
    """Name of the study, in the storage and in commands."""
    title: str = Field(default="", max_length=1000)
    """The question, in one line."""
    trial: dict[str, Any]
    """A complete trial; see the trial's own fields."""
    protocol: Protocol = Protocol()
    """How the arms are made comparable."""
    arms: dict[Name, Arm] = Field(min_length=1, max_length=MOST_ARMS)
    """The ways of answering, by name."""
    claims: tuple[Claim, ...] = ()
    """Statements that the study tests."""
    published: tuple[Published, ...] = ()
    """Published numbers, to be shown beside the measured ones."""
    source: Source | None = None
    """The publication that the experiment comes from."""
    extensions: tuple[Extension, ...] = ()
    """What `hpo extend` has added. Filled in by hpo; leave it out."""
    settings: dict[Name, Setting] = Field(default={}, max_length=100)
    """Conditions under which every arm runs, such as sizes of a network, by name."""

    @model_validator(mode="after")
    def _metrics_named(self) -> Self:
        """What is compared is stated, so that a stored study says it whatever the default becomes."""
        judged_by = self.protocol.metric or self.trainer.objective(self.trial)
        if judged_by not in self.metrics:
            return self  # which is told elsewhere, with all that is wrong
        default = self.objective.on("test").name
        claims = tuple(claim.by_default(default) for claim in self.claims)
        published = tuple(row if row.metric else row.model_copy(update={"metric": default}) for row in self.published)
        return self.model_copy(update={"claims": claims, "published": published})

    @property
    def trainer(self) -> Trainer:
        """What trains the trials."""
        return trainer_of(self.trial)

    @property
    def unit(self) -> str:
        """What the length of trials is counted in: `epoch`."""
        return self.trainer.unit(self.trial)

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """All that trials report, by name."""
        return self.trainer.metrics(self.trial)

    @property
    def objective(self) -> Metric:
        """What trials are judged by, on validation."""
        return self.metrics[self.protocol.metric or self.trainer.objective(self.trial)]

    @property
    def headline(self) -> Metric:
        """What arms are compared by: the objective, on test if there is a confirm phase."""
        return self.objective.on("test") if self.protocol.confirm else self.objective

    def metric_of(self, row: Contrast | Published) -> Metric:
        """What a claim compares, or a publication prints."""
        return self.metrics[row.metric or self.objective.on("test").name]

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with; the first of these, where settings have one each."""
        first = next(iter(self.arms))
        return self.protocol.baseline or self.arms[first].baseline or first

    def baseline_of(self, arm: str) -> str:
        """The arm that `arm` is compared with; itself, if it is one."""
        return self.arms[arm].baseline or self.baseline

    def meant_by(self, name: str) -> list[str]:
        """The arms that a claim means: one, or that of each setting."""
        return [name] if name in self.arms else [arm for arm, spec in self.arms.items() if spec.way == name]

    @cached_property
    def _resolved(self) -> dict[str, ResolvedArm]:
        return {}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed, for which what was derived from them is derived anew."""
        copy = super().model_copy(update=update, deep=deep)
        for derived in ("_resolved", "metrics"):
            copy.__dict__.pop(derived, None)
        return copy

    @property
    def trials(self) -> list[Mapping[str, Any]]:
        """The trial of each arm, as what it changes makes it."""
        return [self.arm(name).trial for name in self.arms]

    def arm(self, name: str) -> ResolvedArm:
        """The arm called `name`, resolved.

        Raises:
            StudyFileError: it sets an element that a list of the trial does not have.
        """
        if name not in self._resolved:
            self._resolved[name] = self._resolve(name)
        return self._resolved[name]

    def _resolve(self, name: str) -> ResolvedArm:
        spec, protocol = self.arms[name], self.protocol
        trial = merge(self.trial, spec.trial, f"arms.{name}.trial")
        return ResolvedArm(
            name=name,
            spec=spec,
            trial=trial,
            length=self.trainer.length(trial),
            stops_early=self.trainer.stops_early(trial),
            pruner=spec.pruner or (protocol.pruner if spec.sampler.proposes else NO_PRUNER),
            budget=spec.budget or protocol.budget,
        )

    def epoch_at(self, arm: str, share: float) -> int:
        """The arm's epoch after which `share` of its epochs are done, to the nearest."""
        return max(1, round(share * self.arm(arm).length))

    def values(self, arm: str, params: Params) -> dict[str, Any]:
        """A point of the arm's search space, as the study file writes its values."""
        return decode(self.arms[arm].search, params)

    def table_of(self, arm: str, params: Params, search: int = 1, confirm_seed: int | None = None) -> dict[str, Any]:
        """The complete trial of `arm` at the point `params` in one of its searches, as a study file writes it; in the
        confirm phase under one of its seeds."""
        trial = laid_over(self.arm(arm).trial, arm, self.arms[arm], params)
        for source, seed in self.protocol.drawn_by(search, confirm_seed).items():
            trial = merge(trial, self.trainer.drawn_by(source, seed) or {})
        return trial

    def trial_of(self, arm: str, params: Params, search: int = 1, confirm_seed: int | None = None) -> Any:
        """What a cell of `arm` at the point `params` trains in one of its searches, an object of the trainer's `spec`;
        in the confirm phase under one of its seeds.

        Raises:
            StudyFileError: the point is not a valid trial, with a line for every mistake.
        """
        return parse_trial(self.table_of(arm, params, search, confirm_seed), f"arms.{arm}.trial")


class StudyFile(StudySpec):
    """One question, the arms that answer it, and how they are compared.

    `hpo.study.file` checks it as a whole. What is stored is the study with its profile applied.
    """

    search: dict[str, Searched] = Field(default={}, max_length=32)
    """What every arm with a proposing sampler searches, in addition to its own `search`."""
    profiles: dict[Name, dict[str, Any]] = {}
    """Variants by name; `--profile NAME` lays one of them over the rest of the file."""


def read_study(name: str, stored: str, version: str) -> StudySpec:
    """A study as the storage keeps it, planned by hpo of that `version`.

    Raises:
        StudyError: another version of hpo has planned it, and this one can't read it.
    """
    try:
        table = json.loads(stored)
    except (ValueError, RecursionError):
        raise StudyError(
            f"the study {name!r} in the database is not valid JSON: another program has changed it",
            hint=f"restore it from a backup of the database, or remove the study: hpo delete {name}",
        ) from None
    if isinstance(table, dict) and isinstance(protocol := table.get("protocol"), dict):
        protocol.setdefault("seeding", "counted")  # by the versions that did not say so yet
    try:
        return StudySpec.model_validate_json(json.dumps(table))
    except ValidationError as error:
        [first, *_] = explain(error, table)
        raise StudyError(
            f"the study {name!r} was planned by another version of hpo ({version}); this one can't read it: {first}",
            hint=f"use version {version}",
        ) from None


def trial_at(trial: Mapping[str, Any], name: str, arm: Arm, params: Params) -> Any:
    """What `arm`, called `name`, makes of the study's `trial` at the point `params`.

    Raises:
        StudyFileError: the point is not a valid trial, with a line for every mistake.
    """
    where = f"arms.{name}.trial"
    return parse_trial(laid_over(merge(trial, arm.trial, where), name, arm, params), where)


def laid_over(trial: Mapping[str, Any], name: str, arm: Arm, params: Params) -> dict[str, Any]:
    """The point `params` laid over the `trial` of the arm called `name`: a table that has not been checked."""
    return overlay(trial, decode(arm.search, params), f"arms.{name}.trial")


def parse_trial(table: dict[str, Any], where: str) -> Any:
    """`table` as an object of its trainer's `spec`; `where` is named in the error."""
    try:
        return trainer_of(table).spec().model_validate(table)
    except ValidationError as error:
        raise StudyFileError("\n".join(explain(error, table, where, keys_of_a_file()))) from None


@cache
def keys_of_a_file() -> Places:
    """Where each key of a study file belongs."""
    return places({(): StudyFile, ("trial",): default_trainer().spec()})
