"""Optuna's trial of a cell: made, marked with the cell's id, and noted in the cell, in one transaction.

Optuna numbers a study's trials without gaps and keeps the row of the study locked meanwhile, which we do too. On
Postgres both statements are sent in one message, of which the server makes one transaction; the second of them sees
what was committed until the lock was had.

The study is found by its name and its mark: another tool may have put one of its own in that place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, DateTime, TextClause, bindparam, text

from hpo.storage.connection.database import Database


@dataclass(frozen=True, slots=True)
class NewTrial:
    """A trial of Optuna's."""

    id: int
    number: int
    study_id: int | None = None
    """Optuna's id of its study, if it was made just now; it is empty then, but for its cell's id."""


def _sql(statement: str) -> TextClause:
    started = [bindparam("started", type_=DateTime())] if ":started" in statement else []
    return text(statement).bindparams(*started)


_WITHOUT_TRIAL = """
    select id from hpo_cell
    where id = :held_cell and token = :held_token and state = 'leased' and trial_id is null"""
_OURS = """
    select studies.study_id from studies join study_user_attributes mark on mark.study_id = studies.study_id
    where studies.study_name = :optuna_study and mark.key = 'hpo' and mark.value_json = :mark"""
_MAKE = """
    insert into trials (study_id, number, state, datetime_start)
    select ours.study_id, 1 + coalesce(
        (select number from trials where study_id = ours.study_id order by trial_id desc limit 1), -1
    ), 'RUNNING', :started from {ours}
    returning trial_id, number, study_id"""
_BEAR = """
    insert into trial_user_attributes (trial_id, key, value_json) select {trial_id}, 'cell', :bears"""
_POSTGRES = _sql(f"""
    select study_id from studies where study_name = :optuna_study for update;
    with held as ({_WITHOUT_TRIAL} for update),
    ours as ({_OURS}),
    trial as ({_MAKE.format(ours="held, ours")}),
    borne as ({_BEAR.format(trial_id="trial_id")} from trial)
    update hpo_cell set trial_id = trial.trial_id, trial_number = trial.number from trial
    where hpo_cell.id = :held_cell
    returning trial.trial_id, trial.number, trial.study_id""")
_SQLITE = (
    _sql(_WITHOUT_TRIAL),
    _sql(_MAKE.format(ours=f"({_OURS}) ours")),
    _sql(_BEAR.format(trial_id=":trial_id")),
    _sql("update hpo_cell set trial_id = :trial_id, trial_number = :number where id = :held_cell"),
)


def new_trial(
    database: Database, held: dict[str, Any], optuna_study: str, mark: str, started: datetime
) -> NewTrial | None:
    """A new trial for the cell, in the Optuna study of this name and mark.

    None if the cell has one, if it is not held, or if there is no such Optuna study.
    """
    at = started.astimezone(UTC).replace(tzinfo=None)
    bears = json.dumps(held["held_cell"])
    parameters = held | {"optuna_study": optuna_study, "mark": mark, "started": at, "bears": bears}
    if database.engine.dialect.name == "postgresql":
        row = database.read(lambda connection: connection.execute(_POSTGRES, parameters).one_or_none())
        return None if row is None else NewTrial(*row)
    without_trial, make, bear, note = _SQLITE

    def one_after_the_other(connection: Connection) -> NewTrial | None:
        if connection.execute(without_trial, held).one_or_none() is None:
            return None
        row = connection.execute(make, parameters).one_or_none()
        if row is None:
            return None
        connection.execute(bear, {"trial_id": row.trial_id, "bears": bears})
        connection.execute(note, {"trial_id": row.trial_id, "number": row.number, "held_cell": held["held_cell"]})
        return NewTrial(*row)

    return database.transaction(one_after_the_other)
