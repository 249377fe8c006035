"""Optuna's side of a study made whole again from the ledger: studies and trials that another tool has removed.

Everything that Optuna was told is in the ledger, but for the notes of samplers and pruners (CMA-ES begins anew, and
successive halving does not know how far the earlier trials came). A trial gets the id and the number that it had,
unless another one has them by now, so whoever is training it can go on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, Table, and_, bindparam, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ProgrammingError

from hpo.errors import LeaseLost, StudyError
from hpo.optuna_private import TRIAL_USER_ATTRS, TRIALS
from hpo.storage import tables
from hpo.storage.connection.database import Database
from hpo.storage.connection.sqlstate import sqlstate
from hpo.storage.optuna import studies as optuna_studies
from hpo.storage.optuna.changes import Changes
from hpo.storage.optuna.rows import CELL, OPEN
from hpo.storage.optuna.terms import as_told, trial_state
from hpo.storage.rows import CELL_COLUMNS, CURVE_COLUMNS, Cell, CurvePoint, read_cell, read_curve_point
from hpo.study import StudySpec

_NO_RIGHT = "42501"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done to one Optuna study."""

    name: str
    was_missing: bool
    written: int
    """Trials written again."""
    found: int
    """Trials that were there under another id."""

    def __str__(self) -> str:
        if self.was_missing:
            return f"the Optuna study {self.name} was missing: created again with {self.written} trials"
        written = [f"{self.written} written again"] if self.written else []
        found = [f"{self.found} found under another id"] if self.found else []
        return f"trials of the Optuna study {self.name} were missing: {', '.join(written + found)}"


def repair(database: Database, study_id: int, uuid: str, study: StudySpec) -> list[Repaired]:
    """Make again what is missing of the Optuna studies of a study; done again, it finds nothing more to do.

    Raises:
        LeaseLost: the study was deleted.
        StudyError: another tool's Optuna study has one of the names, or the database role may not make one.
    """
    try:
        return database.transaction(lambda connection: _repair(connection, study_id, uuid, study))
    except ProgrammingError as error:
        if sqlstate(error) != _NO_RIGHT:
            raise
        raise StudyError(
            f"{study.name}: one of its Optuna studies is missing, and this database role may not create it again",
            hint=f"run, with the role that launches studies: hpo repair {study.name}",
        ) from error


@dataclass(frozen=True, slots=True)
class _Trial:
    """A trial as it was found."""

    id: int
    number: int
    state: TrialState
    cell: int | None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the trial of a cell belongs."""

    cell: Cell
    id: int
    number: int


def _repair(connection: Connection, study_id: int, uuid: str, study: StudySpec) -> list[Repaired]:
    names = optuna_studies.names_of(study)
    # In the order in which a deletion locks them.
    optuna_studies.lock(connection, names)
    ours = select(tables.study.c.id).where(tables.study.c.id == study_id, tables.study.c.uuid == uuid)
    if connection.execute(ours.with_for_update()).first() is None:
        raise LeaseLost("the study was deleted")
    found = optuna_studies.find(connection, names)
    optuna_studies.refuse_foreign(connection, found.values(), study.objective, uuid)
    ids = {name: optuna_study.id for name, optuna_study in found.items()}
    missing = [name for name in names if name not in found]
    if missing:
        ids |= optuna_studies.make(connection, missing, uuid, study.objective)
    # Trials first: whoever ends a cell meanwhile ends both, and a trial that is only behind is no harm.
    there = _trials(connection, ids.values())
    cells = _cells_with_trial(connection, study_id, study.name)
    repaired = []
    for name in names:
        written, linked = _repair_one(connection, study, ids[name], cells[name], there[ids[name]])
        if name in missing or written or linked:
            repaired.append(Repaired(name, name in missing, written, linked))
    return repaired


def _repair_one(
    connection: Connection, study: StudySpec, optuna_study: int, cells: Sequence[Cell], there: Sequence[_Trial]
) -> tuple[int, int]:
    """How many trials were written, and how many found under another id."""
    by_cell: defaultdict[int | None, list[_Trial]] = defaultdict(list)
    for trial in there:
        by_cell[trial.cell].append(trial)
    absent: list[Cell] = []
    found: list[_Place] = []
    unended: list[_Place] = []
    for cell in cells:
        its = _its_trial(cell, by_cell[cell.id])
        if its is None:
            absent.append(cell)
            continue
        place = _Place(cell, its.id, its.number)
        if (its.id, its.number) != (cell.trial_id, cell.trial_number):
            found.append(place)
        if its.state in OPEN and trial_state(cell).is_finished():
            unended.append(place)
    made = _make_trials(connection, optuna_study, absent, there)
    _end_trials(connection, unended)
    _tell(connection, study, made + unended)
    _link(connection, made + found)
    return len(made) + len(unended), len(found)


def _its_trial(cell: Cell, bearing: Sequence[_Trial]) -> _Trial | None:
    """Which of the trials that bear its id is the cell's; one that another tool has ended is none."""
    right = trial_state(cell)
    fitting = [trial for trial in bearing if trial.state is right or trial.state in OPEN]
    return max(
        fitting,
        key=lambda trial: (trial.id == cell.trial_id, trial.state is right, trial.number),
        default=None,
    )


def _make_trials(
    connection: Connection, optuna_study: int, cells: Sequence[Cell], there: Sequence[_Trial]
) -> list[_Place]:
    """A trial for each of the cells, without what belongs to it."""
    ids = [cell.trial_id for cell in cells if cell.trial_id is not None]
    taken = set(connection.execute(select(TRIALS.c.trial_id).where(TRIALS.c.trial_id.in_(ids))).scalars())
    numbers = {trial.number for trial in there}
    kept: list[_Place] = []
    others: list[Cell] = []
    for cell in cells:
        if cell.trial_id is None or cell.trial_number is None or cell.trial_id in taken or cell.trial_number in numbers:
            others.append(cell)
            continue
        kept.append(_Place(cell, cell.trial_id, cell.trial_number))
        taken.add(cell.trial_id)
        numbers.add(cell.trial_number)
    if kept:
        rows = [_trial_row(place.cell, optuna_study, place.number) | {"trial_id": place.id} for place in kept]
        connection.execute(insert(TRIALS), rows)
    # Numbers grow with the ids, so one who has a new id has a new number too.
    after = max(numbers, default=-1) + 1
    moved = []
    for number, cell in enumerate(others, after):
        made = insert(TRIALS).values(_trial_row(cell, optuna_study, number)).returning(TRIALS.c.trial_id)
        moved.append(_Place(cell, connection.execute(made).scalar_one(), number))
    return kept + moved


def _trial_row(cell: Cell, optuna_study: int, number: int) -> dict[str, Any]:
    state = trial_state(cell)
    return {
        "study_id": optuna_study,
        "number": number,
        "state": state,
        "datetime_start": _time(cell.started),
        "datetime_complete": _time(cell.finished) if state.is_finished() else None,
    }


def _end_trials(connection: Connection, places: Sequence[_Place]) -> None:
    if not places:
        return
    end = (
        update(TRIALS)
        .where(TRIALS.c.trial_id == bindparam("open_trial"))
        .values(
            state=bindparam("end_state", type_=TRIALS.c.state.type),
            datetime_complete=bindparam("end_time", type_=TRIALS.c.datetime_complete.type),
        )
    )
    ends = [
        {"open_trial": place.id, "end_state": trial_state(place.cell), "end_time": _time(place.cell.finished)}
        for place in places
    ]
    connection.execute(end, ends)


def _tell(connection: Connection, study: StudySpec, places: Sequence[_Place]) -> None:
    """Write all that belongs to the trials; what is there already stays."""
    if not places:
        return
    curves = _curves(connection, [place.cell.id for place in places])
    rows: defaultdict[tuple[Table, tuple[str, str]], list[dict[str, Any]]] = defaultdict(list)
    for place in places:
        told: Changes = as_told(study, place.cell, curves[place.cell.id])
        for table, key, its in told.rows(place.id):
            rows[table, key].extend(its)
    # Both dialects' inserts have the same ON CONFLICT, but no common class that declares it.
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    for (table, key), inserted in rows.items():
        if inserted:
            connection.execute(dialect.insert(table).on_conflict_do_nothing(index_elements=key), inserted)


def _link(connection: Connection, places: Sequence[_Place]) -> None:
    """Note in the cells which trial is theirs."""
    moved = [place for place in places if (place.id, place.number) != (place.cell.trial_id, place.cell.trial_number)]
    if not moved:
        return
    link = (
        update(tables.cell)
        .where(tables.cell.c.id == bindparam("linked_cell"))
        .values(trial_id=bindparam("linked_trial"), trial_number=bindparam("linked_number"))
    )
    links = [{"linked_cell": place.cell.id, "linked_trial": place.id, "linked_number": place.number} for place in moved]
    connection.execute(link, links)


def _trials(connection: Connection, optuna_studies: Collection[int]) -> defaultdict[int, list[_Trial]]:
    """Count what was repaired, by Optuna study."""
    bearing = and_(TRIAL_USER_ATTRS.c.trial_id == TRIALS.c.trial_id, TRIAL_USER_ATTRS.c.key == CELL)
    query = (
        select(TRIALS.c.study_id, TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state, TRIAL_USER_ATTRS.c.value_json)
        .outerjoin(TRIAL_USER_ATTRS, bearing)
        .where(TRIALS.c.study_id.in_(optuna_studies))
        .order_by(TRIALS.c.trial_id)
    )
    found: defaultdict[int, list[_Trial]] = defaultdict(list)
    for study_id, trial_id, number, state, bears in connection.execute(query):
        found[study_id].append(_Trial(trial_id, number, state, _cell_id(bears)))
    return found


def _cell_id(bears: str | None) -> int | None:
    """What other tools write there may be anything."""
    value: Any = None if bears is None else json.loads(bears)
    return value if isinstance(value, int) else None


def _cells_with_trial(connection: Connection, study_id: int, study: str) -> defaultdict[str, list[Cell]]:
    """The cells that have had a trial, by the name of its Optuna study, in the order of their trials."""
    cell = tables.cell
    has_trial = or_(cell.c.trial_id.is_not(None), cell.c.ended.is_not(None))
    query = select(*CELL_COLUMNS).where(cell.c.study_id == study_id, has_trial)
    found: defaultdict[str, list[Cell]] = defaultdict(list)
    for row in connection.execute(query.order_by(cell.c.trial_number, cell.c.id)):
        its = read_cell(row)
        found[optuna_studies.name_for(study, its)].append(its)
    return found


def _curves(connection: Connection, cells: Sequence[int]) -> defaultdict[int, list[CurvePoint]]:
    query = select(*CURVE_COLUMNS).where(tables.curve.c.cell_id.in_(cells))
    found: defaultdict[int, list[CurvePoint]] = defaultdict(list)
    for row in connection.execute(query.order_by(tables.curve.c.cell_id, tables.curve.c.at)):
        point = read_curve_point(row)
        found[point.cell_id].append(point)
    return found


def _time(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as Optuna stores a time."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
