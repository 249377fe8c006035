"""Optuna's rows of trials in its own schema: read in one statement, and what is to be written of a trial as rows.

The tables are Optuna's own models, which it calls private; its schema has been the same since its version 3.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    CompoundSelect,
    Float,
    Integer,
    Table,
    Text,
    bindparam,
    cast,
    null,
    or_,
    select,
    union_all,
    update,
)

from hpo.storage.tables import cell
from hpo.storage.together import Change, Upsert, Write

trials: Table = models.TrialModel.__table__
_params: Table = models.TrialParamModel.__table__
_values: Table = models.TrialValueModel.__table__
_intermediate: Table = models.TrialIntermediateValueModel.__table__
_user_attrs: Table = models.TrialUserAttributeModel.__table__
_system_attrs: Table = models.TrialSystemAttributeModel.__table__

OPEN = (TrialState.RUNNING, TrialState.WAITING)
FINISHED = tuple(state for state in TrialState if state.is_finished())

# Reading: one statement for any number of trials. Its rows are of six kinds, one for each table.

_TRIAL, _PARAM, _VALUE, _INTERMEDIATE, _USER, _SYSTEM = range(6)


@cache
def one_trial() -> CompoundSelect[Any]:
    """The trial `trial_id`."""
    return _rows(trials.c.trial_id == bindparam("trial_id"), details_of_open=True)


@cache
def new_trials(details_of_open: bool) -> CompoundSelect[Any]:
    """The trials of the study `of_study` whose id lies above `known`, or is one of `known_open`."""
    new = or_(
        trials.c.trial_id > bindparam("known"),
        trials.c.trial_id.in_(bindparam("known_open", expanding=True)),
    )
    return _rows(new & (trials.c.study_id == bindparam("of_study")), details_of_open)


def _rows(which: Any, details_of_open: bool) -> CompoundSelect[Any]:
    some = select(trials).where(which).cte("some")
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

    return union_all(
        part(_TRIAL, some, None, some.c.number, None, some.c.state, some.c.datetime_start, some.c.datetime_complete),
        part(_PARAM, _params, _params.c.param_name, _params.c.param_id, _params.c.param_value,
             _params.c.distribution_json),
        part(_VALUE, _values, None, _values.c.objective, _values.c.value, _values.c.value_type),
        part(_INTERMEDIATE, _intermediate, None, _intermediate.c.step, _intermediate.c.intermediate_value,
             _intermediate.c.intermediate_value_type),
        part(_USER, _user_attrs, _user_attrs.c.key, None, None, _user_attrs.c.value_json),
        part(_SYSTEM, _system_attrs, _system_attrs.c.key, None, None, _system_attrs.c.value_json),
    )  # fmt: skip


def read_trials(result: Iterable[Any]) -> list[FrozenTrial]:
    """The trials that the rows of the result tell of, in the order of their numbers."""
    parts: tuple[defaultdict[int, list[Any]], ...] = tuple(defaultdict(list) for _ in range(6))
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


def utc(time: datetime) -> datetime:
    """A local time as Optuna stores it."""
    return time.astimezone(UTC).replace(tzinfo=None)


# Writing

_OPEN_TRIAL = (
    select(trials.c.trial_id).where(trials.c.trial_id == bindparam("open_trial"), trials.c.state.in_(OPEN)).exists()
)
_END = (
    update(trials)
    .where(trials.c.trial_id == bindparam("open_trial"), trials.c.state.in_(OPEN))
    .values(
        state=bindparam("end_state", type_=trials.c.state.type),
        datetime_complete=bindparam("end_time", type_=trials.c.datetime_complete.type),
    )
)


@dataclass(slots=True)
class Changes:
    """What is to be written of a trial. Nothing of it is, if the trial is finished by then."""

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    """Values in Optuna's internal form. A parameter that the trial has already stays as it is."""
    intermediate: dict[int, float] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    values: Sequence[float] = ()
    state: TrialState | None = None
    """A state in which it is finished."""

    def writes(self, trial_id: int) -> list[Write]:
        """The same as rows; the state comes last, for a finished trial is not written to."""
        tables = [
            (_params, ("trial_id", "param_name"), list(self._param_rows(trial_id))),
            (_intermediate, ("trial_id", "step"), list(self._intermediate_rows(trial_id))),
            (_user_attrs, ("trial_id", "key"), list(_attr_rows(trial_id, self.user_attrs))),
            (_system_attrs, ("trial_id", "key"), list(_attr_rows(trial_id, self.system_attrs))),
            (_values, ("trial_id", "objective"), list(self._value_rows(trial_id))),
        ]
        trial = {"open_trial": trial_id}
        writes: list[Write] = [
            Upsert(table, key, rows, replace=table is not _params, condition=_OPEN_TRIAL, parameters=trial)
            for table, key, rows in tables
            if rows
        ]
        if self.state is not None:
            writes.append(Change(_END, trial | {"end_state": self.state, "end_time": utc(datetime.now())}))
        return writes

    def _param_rows(self, trial_id: int) -> Iterator[dict[str, Any]]:
        for name, (value, distribution) in self.params.items():
            text = distribution_to_json(distribution)
            yield {"trial_id": trial_id, "param_name": name, "param_value": value, "distribution_json": text}

    def _intermediate_rows(self, trial_id: int) -> Iterator[dict[str, Any]]:
        model = models.TrialIntermediateValueModel
        for step, value in self.intermediate.items():
            real, kind = model.intermediate_value_to_stored_repr(value)
            row = {"trial_id": trial_id, "step": step}
            yield row | {"intermediate_value": real, "intermediate_value_type": kind}

    def _value_rows(self, trial_id: int) -> Iterator[dict[str, Any]]:
        for objective, value in enumerate(self.values):
            real, kind = models.TrialValueModel.value_to_stored_repr(value)
            yield {"trial_id": trial_id, "objective": objective, "value": real, "value_type": kind}


def _attr_rows(trial_id: int, attrs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in attrs.items():
        yield {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}


_FAIL = (
    update(trials)
    .where(
        trials.c.trial_id == select(cell.c.trial_id).where(cell.c.id == bindparam("failed_cell")).scalar_subquery(),
        trials.c.state.in_(OPEN),
    )
    .values(state=TrialState.FAIL, datetime_complete=bindparam("end_time", type_=trials.c.datetime_complete.type))
)


def failure(cell_id: int) -> Change:
    """The cell's trial, if it has one by then, has failed."""
    return Change(_FAIL, {"failed_cell": cell_id, "end_time": utc(datetime.now())})
