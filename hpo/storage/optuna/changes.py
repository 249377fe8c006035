"""What is to be written of a trial, as rows of Optuna's own schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState
from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, or_, select, update

from hpo.optuna_private import (
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_PARAMS,
    TRIAL_SYSTEM_ATTRS,
    TRIAL_USER_ATTRS,
    TRIAL_VALUES,
    TRIALS,
    stored_intermediate_value,
    stored_value,
)
from hpo.storage.connection.guarded import Change, Statement, Upsert
from hpo.storage.optuna.rows import CELL, OPEN
from hpo.storage.tables import cell

_OPEN_TRIAL = (
    select(TRIALS.c.trial_id).where(TRIALS.c.trial_id == bindparam("open_trial"), TRIALS.c.state.in_(OPEN)).exists()
)
# A trial that was deleted may have left its id to another one.
_IS_OF_CELL = (
    select(TRIAL_USER_ATTRS.c.trial_id)
    .where(
        TRIAL_USER_ATTRS.c.trial_id == bindparam("open_trial"),
        TRIAL_USER_ATTRS.c.key == CELL,
        TRIAL_USER_ATTRS.c.value_json == bindparam("of_cell"),
    )
    .exists()
)
_OPEN_TRIAL_OF_CELL = and_(_OPEN_TRIAL, _IS_OF_CELL)
_END = (
    update(TRIALS)
    .where(TRIALS.c.trial_id == bindparam("open_trial"), TRIALS.c.state.in_(OPEN))
    .values(
        state=bindparam("end_state", type_=TRIALS.c.state.type),
        datetime_complete=bindparam("end_time", type_=TRIALS.c.datetime_complete.type),
    )
)
_END_OF_CELL = _END.where(_IS_OF_CELL)
_Rows = list[dict[str, Any]]


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

    def statements(self, trial_id: int, cell_id: int | None = None) -> list[Statement]:
        """Return what is to be written; the state comes last, for a finished trial is not written to.

        Nothing is written either if a cell is given and the trial is not, or no longer, that cell's.
        """
        trial: dict[str, Any] = {"open_trial": trial_id}
        condition: ColumnElement[bool] = _OPEN_TRIAL
        end = _END
        if cell_id is not None:
            trial["of_cell"] = json.dumps(cell_id)
            condition, end = _OPEN_TRIAL_OF_CELL, _END_OF_CELL
        writes: list[Statement] = [
            Upsert(table, key, rows, replace=table is not TRIAL_PARAMS, condition=condition, parameters=trial)
            for table, key, rows in self.rows(trial_id)
            if rows
        ]
        if self.state is not None:
            writes.append(Change(end, trial | {"end_state": self.state, "end_time": utc(datetime.now())}))
        return writes

    def rows(self, trial_id: int) -> list[tuple[Table, tuple[str, str], _Rows]]:
        """Return all but the state as rows of each table, with the columns by which a row is known."""
        return [
            (TRIAL_PARAMS, ("trial_id", "param_name"), list(self._param_rows(trial_id))),
            (TRIAL_INTERMEDIATE_VALUES, ("trial_id", "step"), list(self._intermediate_rows(trial_id))),
            (TRIAL_USER_ATTRS, ("trial_id", "key"), list(_attr_rows(trial_id, self.user_attrs))),
            (TRIAL_SYSTEM_ATTRS, ("trial_id", "key"), list(_attr_rows(trial_id, self.system_attrs))),
            (TRIAL_VALUES, ("trial_id", "objective"), list(self._value_rows(trial_id))),
        ]

    def _param_rows(self, trial_id: int) -> Iterator[dict[str, Any]]:
        for name, (value, distribution) in self.params.items():
            text = distribution_to_json(distribution)
            yield {"trial_id": trial_id, "param_name": name, "param_value": value, "distribution_json": text}

    def _intermediate_rows(self, trial_id: int) -> Iterator[dict[str, Any]]:
        for step, value in self.intermediate.items():
            real, kind = stored_intermediate_value(value)
            row = {"trial_id": trial_id, "step": step}
            yield row | {"intermediate_value": real, "intermediate_value_type": kind}

    def _value_rows(self, trial_id: int) -> Iterator[dict[str, Any]]:
        for objective, value in enumerate(self.values):
            real, kind = stored_value(value)
            yield {"trial_id": trial_id, "objective": objective, "value": real, "value_type": kind}


def _attr_rows(trial_id: int, attrs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in attrs.items():
        yield {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}


_of_a_cell = update(TRIALS).where(
    TRIALS.c.trial_id == select(cell.c.trial_id).where(cell.c.id == bindparam("its_cell")).scalar_subquery(),
    or_(*(TRIALS.c.state == state for state in OPEN)),  # IN is not for several at once
    select(TRIAL_USER_ATTRS.c.trial_id)
    .where(
        TRIAL_USER_ATTRS.c.trial_id == TRIALS.c.trial_id,
        TRIAL_USER_ATTRS.c.key == CELL,
        TRIAL_USER_ATTRS.c.value_json == bindparam("of_cell"),
    )
    .exists(),
)
_FAIL = _of_a_cell.values(
    state=TrialState.FAIL, datetime_complete=bindparam("end_time", type_=TRIALS.c.datetime_complete.type)
)


def failure(cell_id: int) -> Change:
    """The cell's trial, if it has one by then, has failed."""
    return Change(_FAIL, _trial_of(cell_id) | {"end_time": utc(datetime.now())})


def set_open_trials(connection: Connection, cells: Sequence[int], state: TrialState) -> None:
    """Give the trials of these cells, as far as they are not finished, another state that is not the end."""
    if cells:
        connection.execute(_of_a_cell.values(state=state), [_trial_of(cell_id) for cell_id in cells])


def _trial_of(cell_id: int) -> dict[str, Any]:
    return {"its_cell": cell_id, "of_cell": json.dumps(cell_id)}


def utc(time: datetime) -> datetime:
    """A local time as Optuna stores it."""
    return time.astimezone(UTC).replace(tzinfo=None)
