"""The ledger: which cells there are, who holds which until when, and what came of them.

Every method is one transaction. A worker writes only under its lease's token; the moment another worker has claimed
the cell, the token differs, and the write raises `LeaseLost` without a trace.

    planned ──claim──▶ leased ──conclude, close──▶ done
       ▲                 │ ├──release, retry_later──▶ planned
       │                 │ └──set_aside──▶ failed
       └── lease ran out ┘  (claimed again: the next worker continues the same trial)
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from hpo.errors import LeaseLost, StudyError
from hpo.space import Params
from hpo.storage import tables
from hpo.storage.rows import ArmProgress, Cell, CurvePoint, Lease, PlannedCell, StudyRow, WorkerRow
from hpo.storage.tables import cell, checkpoint, curve, now, study, worker
from hpo.train.clock import Evaluation, Score

ALIVE_SECONDS = 60.0
"""A worker that was not seen for so long counts as gone in what people are shown. Leases do not depend on it."""

_CELL_COLUMNS = [cell.c[name] for name in Cell.__dataclass_fields__]
_CURVE_COLUMNS = [curve.c[name] for name in CurvePoint.__dataclass_fields__]
_STRENGTHS = list(CurvePoint.__dataclass_fields__).index("strengths")  # followed by the gradient norms


class Ledger:
    """Our tables in the storage."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
        with self._engine.connect() as connection:
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
        with self._engine.begin() as connection:
            connection.execute(update(study).where(study.c.id == study_id).values(state=state))

    def delete_study(self, study_id: int) -> None:
        """Remove a study and all that belongs to it; its workers lose their leases."""
        with self._engine.begin() as connection:
            connection.execute(delete(study).where(study.c.id == study_id))

    def same_data(self, study_id: int, fingerprint: str) -> bool:
        """Whether these are the images that the study began with; the first worker to ask decides."""
        known = func.coalesce(study.c.data, fingerprint)
        query = update(study).where(study.c.id == study_id).values(data=known).returning(study.c.data)
        with self._engine.begin() as connection:
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
        with self._engine.connect() as connection:
            return _cells(connection, study_id)

    def claim(self, worker_id: str, lease: float, studies: Sequence[str] = ()) -> Lease | None:
        """Take the first cell that is free, or whose lease ran out, for `lease` seconds; None if there is none."""
        free = or_(cell.c.state == "planned", and_(cell.c.state == "leased", cell.c.lease_until < now()))
        first: Select[tuple[int]] = (
            select(cell.c.id)
            .join(study, study.c.id == cell.c.study_id)
            .where(tables.open_cells, free, study.c.state == "running")
            .order_by(cell.c.id)
            .limit(1)
            .with_for_update(skip_locked=True, of=cell)
        )
        if studies:
            first = first.where(study.c.name.in_(studies))
        take = (
            update(cell)
            .where(cell.c.id == first.scalar_subquery())
            .values(
                state="leased",
                token=secrets.token_hex(16),
                worker=worker_id,
                lease_until=now() + lease,
                attempts=cell.c.attempts + 1,
                claims=cell.c.claims + 1,
                started=func.coalesce(cell.c.started, now()),
            )
            .returning(cell.c.study_id, cell.c.token, *_CELL_COLUMNS)
        )
        with self._engine.begin() as connection:
            row = connection.execute(take).one_or_none()
        return None if row is None else Lease(_cell(row), row.study_id, row.token)

    def begin_trial(self, lease: Lease, create: Callable[[Connection], tuple[int, int]]) -> tuple[int, int]:
        """The cell's Optuna trial, its id and number; `create` makes one, in the transaction in which it is noted.

        So there is never a trial without its cell or a second one for a cell, whoever vanishes when.

        Raises:
            LeaseLost: another worker holds the cell; nothing was made.
        """
        with self._engine.begin() as connection:
            query = select(cell.c.trial_id, cell.c.trial_number).where(_held(lease)).with_for_update()
            held = connection.execute(query).one_or_none()
            if held is None:
                raise _lost(lease)
            if held.trial_id is not None:  # the answer to an earlier try was lost
                return held.trial_id, held.trial_number
            trial_id, number = create(connection)
            _update(connection, lease, trial_id=trial_id, trial_number=number)
        return trial_id, number

    def trial_id(self, lease: Lease) -> int | None:
        """The cell's Optuna trial as it is now; the lease's own picture of the cell is of the time of its claim."""
        with self._engine.connect() as connection:
            return connection.execute(select(cell.c.trial_id).where(cell.c.id == lease.cell.id)).scalar()

    def propose(self, lease: Lease, params: Params) -> None:
        """Keep the parameters that the sampler has proposed for the cell."""
        with self._engine.begin() as connection:
            _update(connection, lease, params=json.dumps(params))

    def renew(self, lease: Lease, seconds: float) -> None:
        """Keep the cell for `seconds` from now.

        Raises:
            LeaseLost: another worker holds it.
        """
        with self._engine.begin() as connection:
            _update(connection, lease, lease_until=now() + seconds)

    def record(self, lease: Lease, evaluation: Evaluation, seconds: float, saved: bytes | None = None) -> str:
        """Keep an epoch's metrics, and a checkpoint if given, and renew the lease; returns the study's state.

        Raises:
            LeaseLost: another worker holds the cell; nothing was written.
        """
        progress = evaluation.epoch > cell.c.epochs
        renewed = (
            update(cell)
            .where(_held(lease))
            .values(
                lease_until=now() + seconds,
                epochs=case((progress, evaluation.epoch), else_=cell.c.epochs),
                attempts=case((progress, 0), else_=cell.c.attempts),
                seconds=cell.c.seconds + evaluation.seconds,
            )
            .returning(select(study.c.state).where(study.c.id == lease.study_id).scalar_subquery())
        )
        with self._engine.begin() as connection:
            state = connection.execute(renewed).scalar()
            if state is None:
                raise _lost(lease)
            _upsert(connection, curve, _curve_row(lease.cell.id, evaluation), ["cell_id", "epoch"])
            if saved is not None:
                _save(connection, lease, saved)
        return str(state)

    def release(self, lease: Lease, saved: bytes | None = None, reason: str | None = None) -> None:
        """Give the cell back unfinished, for whoever claims next; this does not count as an attempt."""
        with self._engine.begin() as connection:
            fewer = case((cell.c.attempts > 0, cell.c.attempts - 1), else_=0)
            why = {} if reason is None else {"error": reason}
            _update(connection, lease, state="planned", token=None, lease_until=None, attempts=fewer, **why)
            if saved is not None:
                _save(connection, lease, saved)

    def retry_later(self, lease: Lease, error: str) -> None:
        """Give the cell back after an attempt that failed."""
        with self._engine.begin() as connection:
            _update(connection, lease, state="planned", token=None, lease_until=None, error=error)

    def set_aside(self, lease: Lease, error: str) -> None:
        """The cell has failed for good."""
        with self._engine.begin() as connection:
            _update(connection, lease, state="failed", token=None, lease_until=None, error=error, finished=now())
            connection.execute(delete(checkpoint).where(checkpoint.c.cell_id == lease.cell.id))

    def conclude(self, lease: Lease, ended: str, score: float, validation: Score | None, test: Score | None) -> None:
        """Keep the result, before Optuna is told of it: a crash between the two is healed by the next worker."""
        with self._engine.begin() as connection:
            _update(
                connection,
                lease,
                ended=ended,
                score=score,
                validation_loss=_finite(validation.loss) if validation else None,
                validation_accuracy=validation.accuracy if validation else None,
                test_loss=_finite(test.loss) if test else None,
                test_accuracy=test.accuracy if test else None,
                error=None,
            )

    def close(self, lease: Lease) -> None:
        """The cell is done: concluded, and Optuna knows."""
        with self._engine.begin() as connection:
            _update(connection, lease, state="done", token=None, lease_until=None, finished=now())
            connection.execute(delete(checkpoint).where(checkpoint.c.cell_id == lease.cell.id))

    def checkpoint(self, lease: Lease) -> bytes | None:
        """The last checkpoint of the cell."""
        with self._engine.connect() as connection:
            query = select(checkpoint.c.content).where(checkpoint.c.cell_id == lease.cell.id)
            return connection.execute(query).scalar()

    def retry_failed(self, study_id: int) -> int:
        """Plan all failed cells of a study again, with the same parameters; returns how many."""
        again = update(cell).where(cell.c.study_id == study_id, cell.c.state == "failed")
        with self._engine.begin() as connection:
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
        with self._engine.connect() as connection:
            return [ArmProgress(**row._mapping) for row in connection.execute(query)]

    def errors(self, study_id: int, most: int) -> list[Cell]:
        """Failed cells, the latest first."""
        query = select(*_CELL_COLUMNS).where(cell.c.study_id == study_id, cell.c.state == "failed")
        with self._engine.connect() as connection:
            return [_cell(row) for row in connection.execute(query.order_by(cell.c.finished.desc()).limit(most))]

    def curves(self, study_id: int) -> list[CurvePoint]:
        """Every epoch of every cell of a study."""
        query = select(*_CURVE_COLUMNS).join(cell).where(cell.c.study_id == study_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(curve.c.cell_id, curve.c.epoch)).all()
        return [_curve_point(row) for row in rows]

    # Workers

    def register(self, worker_id: str, host: str, pid: int, device: str, environment: dict[str, str]) -> None:
        """Note a worker that has started."""
        row = {"id": worker_id, "host": host, "pid": pid, "device": device, "environment": json.dumps(environment)}
        with self._engine.begin() as connection:
            connection.execute(insert(worker).values(**row, started=now(), seen=now()))

    def seen(self, worker_id: str, ended: bool = False) -> None:
        """Note that a worker is alive, or that it has ended."""
        values = {"seen": now(), "ended": now()} if ended else {"seen": now()}
        with self._engine.begin() as connection:
            connection.execute(update(worker).where(worker.c.id == worker_id).values(values))

    def workers(self) -> list[WorkerRow]:
        """All workers ever seen, the latest first."""
        alive = and_(worker.c.ended.is_(None), worker.c.seen > now() - ALIVE_SECONDS).label("alive")
        with self._engine.connect() as connection:
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


def _held(lease: Lease) -> Any:
    return and_(cell.c.id == lease.cell.id, cell.c.token == lease.token)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"the lease of cell {lease.cell.id} is lost: another worker continues it")


def _update(connection: Connection, lease: Lease, **values: Any) -> None:
    if connection.execute(update(cell).where(_held(lease)).values(values)).rowcount == 0:
        raise _lost(lease)


def _save(connection: Connection, lease: Lease, content: bytes) -> None:
    row = {"cell_id": lease.cell.id, "content": content, "saved": now()}
    _upsert(connection, checkpoint, row, ["cell_id"])


def _upsert(connection: Connection, table: Any, row: dict[str, Any], key: list[str]) -> None:
    # Both dialects' inserts have the same on_conflict_do_update, but no common class that declares it.
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {name: value for name, value in row.items() if name not in key}
    connection.execute(dialect.insert(table).values(row).on_conflict_do_update(index_elements=key, set_=values))


def _insert_cells(connection: Connection, study_id: int, cells: Iterable[PlannedCell]) -> None:
    rows = [
        {
            "study_id": study_id,
            "arm": planned.arm,
            "phase": planned.phase,
            "slot": planned.slot,
            "seed": planned.seed,
            "params": None if planned.params is None else json.dumps(planned.params),
            "state": "planned",
        }
        for planned in cells
    ]
    if rows:
        connection.execute(insert(cell), rows)


def _cells(connection: Connection, study_id: int) -> list[Cell]:
    query = select(*_CELL_COLUMNS).where(cell.c.study_id == study_id).order_by(cell.c.id)
    return [_cell(row) for row in connection.execute(query)]


def _cell(row: Row[Any]) -> Cell:
    values = {name: row._mapping[name] for name in Cell.__dataclass_fields__}
    values["params"] = None if row.params is None else json.loads(row.params)
    return Cell(**values)


def _curve_row(cell_id: int, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "cell_id": cell_id,
        "epoch": evaluation.epoch,
        "step": evaluation.step,
        "train_loss": _finite(evaluation.train.loss),
        "train_accuracy": evaluation.train.accuracy,
        "validation_loss": _finite(evaluation.validation.loss),
        "validation_accuracy": evaluation.validation.accuracy,
        "lr": evaluation.lr,
        "strengths": json.dumps(dict(evaluation.strengths)),
        "gradient_norms": json.dumps({name: _finite(norm) for name, norm in evaluation.gradient_norms.items()}),
        "seconds": evaluation.seconds,
        "images_per_second": evaluation.images_per_second,
    }


def _curve_point(row: Row[Any]) -> CurvePoint:
    # By place, not by name: a report reads hundreds of thousands of these.
    values = list(row)
    values[_STRENGTHS : _STRENGTHS + 2] = map(_numbers, values[_STRENGTHS : _STRENGTHS + 2])
    return CurvePoint(*values)


@lru_cache(maxsize=1024)  # a strength that is held is the same text at every epoch
def _numbers(text: str) -> Mapping[str, float]:
    numbers: dict[str, float] = json.loads(text)
    return numbers


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
