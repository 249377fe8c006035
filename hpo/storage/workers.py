"""The workers, as the ledger knows them: who is there, on which machine, and what is wrong with whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import and_, exists, insert, literal, select, update

from hpo.storage.connection.database import Database
from hpo.storage.rows import WorkerRow, a_time, bounded, read_environment
from hpo.storage.tables import cell, now, worker
from hpo.storage.texts import storable

ALIVE_SECONDS = 60.0
"""A worker that was not seen for so long counts as gone in what people are shown. Leases do not depend on it."""
TROUBLED_SECONDS = 3600.0
"""How long people are told of what a worker could not do."""
LONGEST_NAME = 255
"""Characters of a host's or device's name that are kept."""

_READ: Mapping[str, Callable[[Any], Any]] = {
    "environment": read_environment,
    "started": lambda value: a_time(value) or 0.0,
    "seen": lambda value: a_time(value) or 0.0,
    "ended": a_time,
    "alive": bool,
    "troubled": bool,
}
"""Columns that are read otherwise than they are stored."""
_TEXTS = ("host", "device", "environment", "reason")


class Workers:
    """The table of workers."""

    _database: Database

    def register(self, worker_id: str, host: str, pid: int, device: str, environment: dict[str, str]) -> None:
        """Note a worker that has started; again, if the answer was lost."""
        row = {
            "id": worker_id,
            "host": storable(host, LONGEST_NAME),
            "pid": pid,
            "device": storable(device, LONGEST_NAME),
            "environment": json.dumps({name: storable(value) for name, value in environment.items()}),
        }
        times = [now().label("started"), now().label("seen")]
        values = [literal(value, type_=worker.c[name].type).label(name) for name, value in row.items()]
        unknown = ~exists(select(worker.c.id).where(worker.c.id == worker_id))
        self._write(insert(worker).from_select([*row, "started", "seen"], select(*values, *times).where(unknown)))

    def seen(self, worker_id: str, ended: bool = False) -> None:
        """Note that a worker is alive, or that it has ended."""
        values = {"seen": now(), "ended": now()} if ended else {"seen": now()}
        self._write(update(worker).where(worker.c.id == worker_id).values(values))

    def note_trouble(self, worker_id: str, reason: str | None) -> None:
        """Note what a worker can't do where it is, or why it ends; None when that is over."""
        self._write(update(worker).where(worker.c.id == worker_id).values(reason=reason and storable(reason)))

    def workers(self) -> list[WorkerRow]:
        """All workers ever seen, the latest first."""
        # One that was seen later than now was seen before the database's clock was set back.
        recently = worker.c.seen.between(now() - ALIVE_SECONDS, now() + ALIVE_SECONDS)
        alive = and_(worker.c.ended.is_(None), recently).label("alive")
        troubled = and_(worker.c.reason.is_not(None), worker.c.seen > now() - TROUBLED_SECONDS).label("troubled")
        columns = [bounded(column) if column.name in _TEXTS else column for column in worker.c]
        query = select(*columns, alive, troubled).order_by(worker.c.started.desc())
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [
            WorkerRow(**dict(row._mapping) | {name: read(row._mapping[name]) for name, read in _READ.items()})
            for row in rows
        ]

    def work_elsewhere(self, study_id: int) -> bool:
        """Whether workers of a study have worked on another one, too."""
        own = select(cell.c.worker).where(cell.c.study_id == study_id, cell.c.worker.is_not(None))
        query = select(exists().where(cell.c.study_id != study_id, cell.c.worker.in_(own)))
        return bool(self._database.read(lambda connection: connection.execute(query).scalar()))

    def others_alive(self, worker_id: str) -> bool:
        """Whether any other worker is alive."""
        return any(other.alive and other.id != worker_id for other in self.workers())

    def _write(self, statement: Any) -> None:
        self._database.read(lambda connection: connection.execute(statement))
