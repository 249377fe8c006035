"""The ledger: our tables in the storage. Studies, the planning of their cells, and what people are shown of them.

What a worker does with its cell is in `leases` and `forks`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from hpo.errors import StudyError
from hpo.storage.forks import Forks
from hpo.storage.rows import (
    CELL_COLUMNS,
    CURVE_COLUMNS,
    ArmProgress,
    Cell,
    CurvePoint,
    PlannedCell,
    StudyRow,
    WorkerRow,
    cell_row,
    read_cell,
    read_curve_point,
)
from hpo.storage.tables import cell, curve, now, study, worker

ALIVE_SECONDS = 60.0
"""A worker that was not seen for so long counts as gone in what people are shown. Leases do not depend on it."""


class Ledger(Forks):
    """Our tables in the storage."""

    # Studies

    def add_study(self, name: str, spec: str, cells: Iterable[PlannedCell], hpo_version: str) -> bool:
        """Store a study with its first cells; False if a study of that name exists already, which stays as it is."""
        try:
            with self._engine.begin() as connection:
                row = {"name": name, "spec": spec, "state": "running", "hpo_version": hpo_version, "created": now()}
                study_id = connection.execute(insert(study).values(row).returning(study.c.id)).scalar_one()
                _insert_cells(connection, study_id, cells)
        except IntegrityError:
            return False
        return True

    def studies(self, names: Sequence[str] = ()) -> list[StudyRow]:
        """The studies of those names, or all, oldest first."""
        query = select(study).order_by(study.c.id)
        if names:
            query = query.where(study.c.name.in_(names))
        with self._alone.connect() as connection:
            return [StudyRow(**row._mapping) for row in connection.execute(query)]

    def study(self, name: str) -> StudyRow:
        """The study called `name`.

        Raises:
            StudyError: there is none.
        """
        rows = self.studies()
        for row in rows:
            if row.name == name:
                return row
        known = ", ".join(row.name for row in rows) or "none"
        raise StudyError(f"there is no study {name[:64]!r} here", hint=f"there are: {known}")

    def set_state(self, study_id: int, state: str) -> None:
        """running or stopped; workers learn of it with their next report."""
        with self._alone.connect() as connection:
            connection.execute(update(study).where(study.c.id == study_id).values(state=state))

    def delete_study(self, study_id: int) -> None:
        """Remove a study and all that belongs to it; its workers lose their leases."""
        with self._alone.connect() as connection:
            connection.execute(delete(study).where(study.c.id == study_id))

    def same_data(self, study_id: int, fingerprint: str) -> bool:
        """Whether these are the images that the study began with; the first worker to ask decides."""
        known = func.coalesce(study.c.data, fingerprint)
        query = update(study).where(study.c.id == study_id).values(data=known).returning(study.c.data)
        with self._alone.connect() as connection:
            return connection.execute(query).scalar() == fingerprint

    # Cells

    @contextmanager
    def planning(self, study_id: int) -> Iterator[Planning]:
        """The study's cells under a lock that keeps other planners away until the block ends."""
        with self._engine.begin() as connection:
            connection.execute(select(study.c.id).where(study.c.id == study_id).with_for_update())
            yield Planning(connection, study_id)

    def cells(self, study_id: int) -> list[Cell]:
        """All cells of a study in the order in which they are claimed."""
        with self._alone.connect() as connection:
            return _cells(connection, study_id)

    def retry_failed(self, study_id: int) -> int:
        """Plan all failed cells of a study again, with the same parameters; returns how many."""
        again = update(cell).where(cell.c.study_id == study_id, cell.c.state == "failed")
        with self._alone.connect() as connection:
            return connection.execute(
                again.values(state="planned", attempts=0, epochs=0, trial_id=None, trial_number=None, finished=None)
            ).rowcount

    # What people are shown

    def progress(self, study_id: int) -> list[ArmProgress]:
        """Counts of every arm and phase that has cells, in the order of planning."""

        def count(*conditions: Any) -> Any:
            return func.coalesce(func.sum(case((and_(*conditions), 1), else_=0)), 0)

        leased = cell.c.state == "leased"
        query = (
            select(
                cell.c.arm,
                cell.c.phase,
                count(cell.c.state == "planned").label("planned"),
                count(leased).label("leased"),
                count(leased, cell.c.lease_until < now()).label("stale"),
                count(cell.c.state == "done").label("done"),
                count(cell.c.state == "failed").label("failed"),
                count(cell.c.state == "done", cell.c.ended == "pruned").label("pruned"),
                count(cell.c.state == "done", cell.c.ended == "diverged").label("diverged"),
                func.sum(cell.c.epochs).label("epochs"),
                func.sum(cell.c.seconds).label("seconds"),
                func.max(cell.c.score).label("best"),
            )
            .where(cell.c.study_id == study_id)
            .group_by(cell.c.arm, cell.c.phase)
            .order_by(func.min(cell.c.id))
        )
        with self._alone.connect() as connection:
            return [ArmProgress(**row._mapping) for row in connection.execute(query)]

    def errors(self, study_id: int, most: int) -> list[Cell]:
        """Failed cells, the latest first."""
        query = select(*CELL_COLUMNS).where(cell.c.study_id == study_id, cell.c.state == "failed")
        with self._alone.connect() as connection:
            return [read_cell(row) for row in connection.execute(query.order_by(cell.c.finished.desc()).limit(most))]

    def curves(self, study_id: int) -> list[CurvePoint]:
        """Every epoch of every cell of a study."""
        query = select(*CURVE_COLUMNS).join(cell).where(cell.c.study_id == study_id)
        with self._alone.connect() as connection:
            rows = connection.execute(query.order_by(curve.c.cell_id, curve.c.epoch)).all()
        return [read_curve_point(row) for row in rows]

    # Workers

    def register(self, worker_id: str, host: str, pid: int, device: str, environment: dict[str, str]) -> None:
        """Note a worker that has started."""
        row = {"id": worker_id, "host": host, "pid": pid, "device": device, "environment": json.dumps(environment)}
        with self._alone.connect() as connection:
            connection.execute(insert(worker).values(**row, started=now(), seen=now()))

    def seen(self, worker_id: str, ended: bool = False) -> None:
        """Note that a worker is alive, or that it has ended."""
        values = {"seen": now(), "ended": now()} if ended else {"seen": now()}
        with self._alone.connect() as connection:
            connection.execute(update(worker).where(worker.c.id == worker_id).values(values))

    def workers(self) -> list[WorkerRow]:
        """All workers ever seen, the latest first."""
        alive = and_(worker.c.ended.is_(None), worker.c.seen > now() - ALIVE_SECONDS).label("alive")
        with self._alone.connect() as connection:
            rows = connection.execute(select(worker, alive).order_by(worker.c.started.desc()))
            return [
                WorkerRow(**{**row._mapping, "environment": json.loads(row.environment), "alive": bool(row.alive)})
                for row in rows
            ]


class Planning:
    """The cells of one study while no one else may plan."""

    def __init__(self, connection: Connection, study_id: int) -> None:
        self._connection, self._study_id = connection, study_id

    def cells(self) -> list[Cell]:
        return _cells(self._connection, self._study_id)

    def add(self, cells: Iterable[PlannedCell]) -> None:
        _insert_cells(self._connection, self._study_id, cells)


def _insert_cells(connection: Connection, study_id: int, cells: Iterable[PlannedCell]) -> None:
    rows = [cell_row(study_id, planned) for planned in cells]
    if rows:
        connection.execute(insert(cell), rows)


def _cells(connection: Connection, study_id: int) -> list[Cell]:
    query = select(*CELL_COLUMNS).where(cell.c.study_id == study_id).order_by(cell.c.id)
    return [read_cell(row) for row in connection.execute(query)]
