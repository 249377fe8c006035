"""Optuna's rows of a study's trials in its own schema, read in one statement.

The tables are Optuna's own models (`hpo.optuna_private`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    CompoundSelect,
    Float,
    Integer,
    Text,
    and_,
    bindparam,
    cast,
    null,
    or_,
    select,
    union_all,
)

from hpo.optuna_private import (
    STUDIES,
    STUDY_USER_ATTRS,
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_PARAMS,
    TRIAL_SYSTEM_ATTRS,
    TRIAL_USER_ATTRS,
    TRIAL_VALUES,
    TRIALS,
)
from hpo.storage.optuna.studies import MARK

OPEN = (TrialState.RUNNING, TrialState.WAITING)
FINISHED = tuple(state for state in TrialState if state.is_finished())

CELL = "cell"
"""User attribute of a trial: the id of its cell, from its beginning on; by it a trial is known as the cell's."""

# One statement for any number of trials. Its rows are of seven kinds: one for each table of trials, and one row of the
# study itself, if there is such a study.

_TRIAL, _PARAM, _VALUE, _INTERMEDIATE, _USER, _SYSTEM, _STUDY = range(7)


@dataclass(frozen=True, slots=True)
class Identity:
    """The marks of a study by which one sees whether it is still the one that was read: SQLite gives ids again."""

    name: str
    mark: str | None
    """Whose it is, in JSON."""
    latest_started: datetime | None
    """When the trial began that is the latest of those known as finished; None if it is no longer there."""


@cache
def one_trial() -> CompoundSelect[Any]:
    """The trial `trial_id`."""
    return _rows(TRIALS.c.trial_id == bindparam("trial_id"), details_of_open=True)


@cache
def new_trials(details_of_open: bool) -> CompoundSelect[Any]:
    """The study `of_study`, and its trials whose id lies above `known`, or is one of `known_open`.

    Its identity tells of the trial `known_latest`.
    """
    new = or_(
        TRIALS.c.trial_id > bindparam("known"),
        TRIALS.c.trial_id.in_(bindparam("known_open", expanding=True)),
    )
    of_study: Any = bindparam("of_study")
    return _rows(new & (TRIALS.c.study_id == of_study), details_of_open, _study_itself(of_study))


def _study_itself(study_id: Any) -> Any:
    marked = and_(STUDY_USER_ATTRS.c.study_id == STUDIES.c.study_id, STUDY_USER_ATTRS.c.key == MARK)
    latest = select(TRIALS.c.datetime_start).where(
        TRIALS.c.trial_id == bindparam("known_latest"), TRIALS.c.study_id == study_id
    )
    columns = [
        STUDIES.c.study_id,
        cast(_STUDY, Integer),
        cast(STUDIES.c.study_name, Text),
        cast(null(), Integer),
        cast(null(), Float(53)),
        STUDY_USER_ATTRS.c.value_json,
        latest.scalar_subquery(),
        null(),
    ]
    return select(*columns).outerjoin(STUDY_USER_ATTRS, marked).where(STUDIES.c.study_id == study_id)


def _rows(which: Any, details_of_open: bool, *more: Any) -> CompoundSelect[Any]:
    some = select(TRIALS).where(which).cte("some")
    detailed = [] if details_of_open else [some.c.state.in_(FINISHED)]

    def part(kind: int, table: Any, key: Any, integer: Any, real: Any, text: Any, *more: Any) -> Any:
        columns = [
            table.c.trial_id,
            cast(kind, Integer).label("kind"),
            cast(null() if key is None else key, Text).label("key"),
            cast(null() if integer is None else integer, Integer).label("integer"),
            cast(null() if real is None else real, Float(53)).label("real"),
            cast(null() if text is None else text, Text).label("text"),
        ]
        query = select(*columns, *(more or (null(), null())))
        return query if table is some else query.join(some, some.c.trial_id == table.c.trial_id).where(*detailed)

    params, values, steps = TRIAL_PARAMS, TRIAL_VALUES, TRIAL_INTERMEDIATE_VALUES
    user, system = TRIAL_USER_ATTRS, TRIAL_SYSTEM_ATTRS
    return union_all(
        part(_TRIAL, some, None, some.c.number, None, some.c.state, some.c.datetime_start, some.c.datetime_complete),
        part(_PARAM, params, params.c.param_name, params.c.param_id, params.c.param_value, params.c.distribution_json),
        part(_VALUE, values, None, values.c.objective, values.c.value, values.c.value_type),
        part(_INTERMEDIATE, steps, None, steps.c.step, steps.c.intermediate_value, steps.c.intermediate_value_type),
        part(_USER, user, user.c.key, None, None, user.c.value_json),
        part(_SYSTEM, system, system.c.key, None, None, system.c.value_json),
        *more,
    )


def read_identity(result: Iterable[Any]) -> Identity | None:
    """Read the identity of the study that the rows of the result tell of; None if there is no such study."""
    for _, kind, name, _, _, mark, latest_started, _ in result:
        if kind == _STUDY:
            return Identity(name, mark, _local(latest_started))
    return None


def read_trials(result: Iterable[Any]) -> list[FrozenTrial]:
    """The trials that the rows of the result tell of, in the order of their numbers."""
    parts: tuple[defaultdict[int, list[Any]], ...] = tuple(defaultdict(list) for _ in range(7))
    for trial_id, kind, *rest in result:
        parts[kind][trial_id].append(rest)
    found = [_trial(trial_id, rows[0], parts) for trial_id, rows in parts[_TRIAL].items()]
    return sorted(found, key=lambda trial: trial.number)


def _trial(trial_id: int, row: Sequence[Any], parts: Sequence[defaultdict[int, list[Any]]]) -> FrozenTrial:
    _, number, _, state, start, complete = row
    params, distributions = {}, {}
    for name, _, value, text, *_ in sorted(parts[_PARAM][trial_id], key=lambda param: param[1]):
        distributions[name] = _distribution(text)
        params[name] = distributions[name].to_external_repr(value)
    values = [_number(real, kind) for _, _, real, kind, *_ in sorted(parts[_VALUE][trial_id], key=lambda v: v[1])]
    return FrozenTrial(
        number=number,
        state=TrialState[state],
        value=None,
        values=values or None,
        datetime_start=_local(start),
        datetime_complete=_local(complete),
        params=params,
        distributions=distributions,
        user_attrs={key: json.loads(text) for key, _, _, text, *_ in parts[_USER][trial_id]},
        system_attrs={key: json.loads(text) for key, _, _, text, *_ in parts[_SYSTEM][trial_id]},
        intermediate_values={step: _number(real, kind) for _, step, real, kind, *_ in parts[_INTERMEDIATE][trial_id]},
        trial_id=trial_id,
    )


@lru_cache(maxsize=1024)  # all trials of a study share them
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


_NUMBERS = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}


def _number(real: float | None, kind: str) -> float:
    """A value as Optuna stores it: infinities and NaN by name."""
    return _NUMBERS[kind] if real is None else real


def _local(time: datetime | None) -> datetime | None:
    """A time as Optuna stores it, in UTC, as Optuna gives it out."""
    return None if time is None else time.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
