"""Optuna's trial of a cell: made, and noted in the cell, in one transaction.

Optuna numbers a study's trials without gaps and keeps the row of the study locked meanwhile, which we do too. On
Postgres both statements are sent in one message, of which the server makes one transaction; the second of them sees
what was committed until the lock was had.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, DateTime, TextClause, bindparam, text

from hpo.storage.database import Database


@dataclass(frozen=True, slots=True)
class NewTrial:
    """A trial of Optuna's."""

    id: int
    number: int
    made: bool = True
    """Just now, so it is empty."""


def _sql(statement: str) -> TextClause:
    started = [bindparam("started", type_=DateTime())] if ":started" in statement else []
    return text(statement).bindparams(*started)


_WITHOUT_TRIAL = """
    select id from hpo_cell
    where id = :held_cell and token = :held_token and state = 'leased' and trial_id is null"""
_MAKE = """
    insert into trials (study_id, number, state, datetime_start)
    select :optuna_study, 1 + coalesce(
        (select number from trials where study_id = :optuna_study order by trial_id desc limit 1), -1
    ), 'RUNNING', :started {from_held}
    returning trial_id, number"""
_POSTGRES = _sql(f"""
    select study_id from studies where study_id = :optuna_study for update;
    with held as ({_WITHOUT_TRIAL} for update), trial as ({_MAKE.format(from_held="from held")})
    update hpo_cell set trial_id = trial.trial_id, trial_number = trial.number from trial
    where hpo_cell.id = :held_cell
    returning trial.trial_id, trial.number""")
_SQLITE = (
    _sql(_WITHOUT_TRIAL),
    _sql(_MAKE.format(from_held="")),
    _sql("update hpo_cell set trial_id = :trial_id, trial_number = :number where id = :held_cell"),
)


def new_trial(database: Database, held: dict[str, Any], optuna_study: int, started: datetime) -> NewTrial | None:
    """A new trial for the cell; None if the cell has one, or if it is not held."""
    at = started.astimezone(UTC).replace(tzinfo=None)
    parameters = held | {"optuna_study": optuna_study, "started": at}
    if database.engine.dialect.name == "postgresql":
        row = database.read(lambda connection: connection.execute(_POSTGRES, parameters).one_or_none())
        return None if row is None else NewTrial(*row)
    without_trial, make, note = _SQLITE

    def one_after_the_other(connection: Connection) -> NewTrial | None:
        if connection.execute(without_trial, held).one_or_none() is None:
            return None
        row = connection.execute(make, parameters).one()
        connection.execute(note, {"trial_id": row.trial_id, "number": row.number, "held_cell": held["held_cell"]})
        return NewTrial(*row)

    return database.transaction(one_after_the_other)
