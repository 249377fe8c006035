"""The ledger: our tables in the storage. Studies, the planning of their cells, and what people are shown of them.

What a worker does with its cell is in `leases` and `prefix_checkpoints`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from hpo.errors import StudyError
from hpo.metric import Goal
from hpo.storage.checkpoints import REFERENCE
from hpo.storage.counts import best_trials, count_cells
from hpo.storage.prefix_checkpoints import PrefixCheckpoints, forget_prefixes_of
from hpo.storage.replan import withdraw_and_restore
from hpo.storage.rows import (
    CELL_COLUMNS,
    CURVE_COLUMNS,
    Activity,
    ArmProgress,
    Cell,
    CurvePoint,
    PlanChanges,
    PlannedCell,
    StudyRow,
    cell_row,
    new_identity,
    read_cell,
    read_curve_point,
)
from hpo.storage.tables import cell, checkpoint, curve, fork, now, open_cells, planning, study, version
from hpo.storage.texts import storable
from hpo.storage.workers import Workers

LONGEST_REFERENCE = 4096
"""Bytes. What is longer in place of a checkpoint is one."""
_ENDED = ("failed", "finished")
_GOES_ON = {"state": "running", "reason": None}


INSERTS: Mapping[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
"""Dialect -> an INSERT that knows what to do if the row is there."""
SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_LAST_LOOKS = 15.0, 1.0
"""How long nobody looks what follows in a study where nothing has ended: not every change of a plan follows from that.
The second is for studies of which nothing is open, where only the end of the study can follow."""


def _pause(is_open: Any) -> Any:
    return case((is_open, SECONDS_BETWEEN_LOOKS), else_=SECONDS_BETWEEN_LAST_LOOKS)


def _just_now(pause: Any) -> Any:
    """Whether somebody has looked within so many seconds, by a clock that may have been set back."""
    return planning.c.at.between(now() - pause, now())


_own = cell.c.study_id == study.c.id
_open = exists().where(_own, open_cells)
_last_ended = select(func.max(cell.c.finished)).where(_own).scalar_subquery()
_looked_at = and_(planning.c.ended.is_not_distinct_from(_last_ended), _just_now(_pause(_open)))
_ACTIVITY = (
    select(
        study.c.id,
        study.c.uuid,
        _open.label("open"),
        _last_ended.label("last_ended"),
        (~func.coalesce(_looked_at, false())).label("due"),
    )
    .outerjoin(planning, planning.c.study_id == study.c.id)
    .where(study.c.state == "running")
)


class Ledger(PrefixCheckpoints, Workers):
    """Our tables in the storage."""

    # Studies

    def add_study(
        self,
        name: str,
        spec: str,
        cells: Iterable[PlannedCell],
        hpo_version: str,
        also: Callable[[Connection, str], None] | None = None,
        rehearsal: str | None = None,
    ) -> bool:
        """Store a study with its first cells; False if a study of that name exists already, which stays as it is.

        `rehearsal` is the JSON of what was found of its trial. `also` makes, in the same transaction, what belongs to
        the study of this uuid elsewhere in the database.
        """
        uuid = new_identity()
        row = {
            "name": name,
            "spec": spec,
            "rehearsal": rehearsal,
            "state": "running",
            "hpo_version": hpo_version,
            "uuid": uuid,
        }
        planned = list(cells)

        def add(connection: Connection) -> None:
            made = insert(study).values(**row, created=now()).returning(study.c.id)
            _insert_cells(connection, connection.execute(made).scalar_one(), planned)
            if also is not None:
                also(connection, uuid)

        try:
            self._database.transaction(add)
        except IntegrityError:
            return False
        return True

    def studies(self, names: Sequence[str] = ()) -> list[StudyRow]:
        """The studies of those names, or all, oldest first."""
        query = select(study).order_by(study.c.id)
        if names:
            query = query.where(study.c.name.in_(names))
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [StudyRow(**row._mapping) for row in rows]

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

    def study_of(self, uuid: str) -> StudyRow | None:
        """The study of that identity, if it is still there."""
        query = select(study).where(study.c.uuid == uuid)
        row = self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else StudyRow(**row._mapping)

    def correct_study(self, study_id: int, spec: str) -> None:
        """Store a study's plan in other words."""
        self._execute(update(study).where(study.c.id == study_id).values(spec=spec))

    def extend_study(self, study_id: int, before: str, after: str) -> bool:
        """Store a plan with more to do, and let workers claim again; whether the plan was still the one `before`."""
        unchanged = and_(study.c.id == study_id, study.c.spec == before, study.c.state.in_(("running", "finished")))
        extend = update(study).where(unchanged).values(spec=after, **_GOES_ON)
        return self._database.read(lambda connection: connection.execute(extend).rowcount) == 1

    def database_id(self) -> str:
        """What names this database among all there are."""
        return str(self._database.read(lambda connection: connection.execute(select(version.c.database)).scalar_one()))

    def fail_study(self, study_id: int, reason: str) -> bool:
        """Stop a study that can't succeed; whether it was running until now."""
        running = and_(study.c.id == study_id, study.c.state == "running")
        failed = update(study).where(running).values(state="failed", reason=storable(reason))
        return self._database.read(lambda connection: connection.execute(failed).rowcount) == 1

    def set_state(self, study_id: int, state: str) -> None:
        """running or stopped; workers learn of it with their next report."""
        self._execute(update(study).where(study.c.id == study_id).values(state=state, reason=None))

    def delete_study(
        self,
        study_id: int,
        lock: Callable[[Connection], object] | None = None,
        also: Callable[[Connection], None] | None = None,
    ) -> None:
        """Remove a study and all that belongs to it; its workers lose their leases.

        `also` removes, in the same transaction, what belongs to it elsewhere in the database, and `lock` locks that
        before anything is removed: workers that make a trial lock it first, too.
        """

        def remove(connection: Connection) -> None:
            if lock is not None:
                lock(connection)
            connection.execute(delete(study).where(study.c.id == study_id))
            if also is not None:
                also(connection)

        self._database.transaction(remove)

    def same_data(self, study_id: int, fingerprint: str) -> bool:
        """Whether these are the images that the study began with; the first worker to ask decides."""
        known = func.coalesce(study.c.data, fingerprint)
        query = update(study).where(study.c.id == study_id).values(data=known).returning(study.c.data)
        return self._database.read(lambda connection: connection.execute(query).scalar()) == fingerprint

    def forget_images(self, study_id: int) -> None:
        """Let the next worker decide again which images a study is on."""
        self._execute(update(study).where(study.c.id == study_id).values(data=None))

    # Cells

    def plan(self, study_id: int, arms: Sequence[str], decide: Callable[[list[Cell]], PlanChanges]) -> int | None:
        """Change the plan of some arms as `decide` says in view of all their cells; returns how many cells changed.

        One process at a time plans a study: None, if that is another one now.
        """
        alone = select(study.c.id).where(study.c.id == study_id).with_for_update(skip_locked=True)

        def change(connection: Connection) -> int | None:
            if connection.execute(alone).one_or_none() is None:
                return None
            changes = decide(_cells(connection, cell.c.study_id == study_id, cell.c.arm.in_(arms)))
            _insert_cells(connection, study_id, changes.added)
            return len(changes.added) + withdraw_and_restore(connection, changes)

        return self._database.transaction(change)

    def finish_study(self, study_id: int) -> None:
        """Note that nothing of a study is left to run, if that is so."""
        nothing_open = ~exists().where(cell.c.study_id == study_id, open_cells)
        running = and_(study.c.id == study_id, study.c.state == "running", nothing_open)
        self._execute(update(study).where(running).values(state="finished"))

    def activity(self, names: Sequence[str] = ()) -> list[Activity]:
        """What has happened in the running studies of those names, or in all; a look that costs next to nothing."""
        query = _ACTIVITY.where(study.c.name.in_(names)) if names else _ACTIVITY
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [Activity(row.id, row.uuid, bool(row.open), row.last_ended, bool(row.due)) for row in rows]

    def take_planning(self, activity: Activity) -> bool:
        """Whether it is for the caller to look what follows in a study: of all who see the same, it is for one."""
        taken = {"study_id": activity.id, "ended": activity.last_ended}

        def take(connection: Connection) -> bool:
            new = INSERTS[connection.dialect.name](planning).values(**taken, at=now())
            due = or_(planning.c.ended.is_distinct_from(new.excluded.ended), ~_just_now(_pause(activity.open)))
            values = {"ended": new.excluded.ended, "at": new.excluded.at}
            query = new.on_conflict_do_update(index_elements=["study_id"], set_=values, where=due)
            try:
                return connection.execute(query.returning(planning.c.study_id)).one_or_none() is not None
            except IntegrityError:  # the study has just been deleted
                return False

        return self._database.transaction(take)

    def plan_again(self, study_id: int) -> None:
        """Let the next idle worker look what follows in a study, whatever was seen of it before."""
        self._execute(delete(planning).where(planning.c.study_id == study_id))

    def cells(self, study_id: int) -> list[Cell]:
        """All cells of a study in the order in which they are claimed."""
        return self._database.read(lambda connection: _cells(connection, cell.c.study_id == study_id))

    def retry_failed(self, study_id: int) -> int:
        """Plan all failed cells of a study again, as new: with the same parameters and no curve; returns how many."""
        failed = and_(cell.c.study_id == study_id, cell.c.state == "failed")
        values = dict.fromkeys(
            ("trial_id", "trial_number", "leader", "leader_epochs", "failed_by", "started", "finished")
        )

        def plan_again(connection: Connection) -> int:
            those = select(cell.c.id).where(failed)
            connection.execute(delete(curve).where(curve.c.cell_id.in_(those)))
            # Whoever went on from such a cell would take over epochs that its curve has no more.
            forget_prefixes_of(connection, those)
            again = update(cell).where(failed).values(values).values(state="planned", attempts=0, epochs=0, seconds=0.0)
            planned: int = connection.execute(again).rowcount
            # A study that was stopped early may have no trial that has used up its attempts.
            goes_on = _ENDED if planned else ("failed",)
            ended = and_(study.c.id == study_id, study.c.state.in_(goes_on))
            connection.execute(update(study).where(ended).values(_GOES_ON))
            return planned

        return self._database.transaction(plan_again)

    # What people are shown

    def progress(self, study_id: int, goal: Goal = "maximize") -> list[ArmProgress]:
        """Counts of every arm and phase that has cells, in the order of planning; `goal` says which score is best."""
        return self._database.read(lambda connection: count_cells(connection, study_id, goal))

    def best_trials(self, study_id: int, goal: Goal) -> dict[str, int]:
        """Arm -> the trial of its search that has the best score so far."""
        return self._database.read(lambda connection: best_trials(connection, study_id, goal))

    def errors(self, study_id: int, most: int) -> list[Cell]:
        """Failed cells, the latest first."""
        query = select(*CELL_COLUMNS).where(cell.c.study_id == study_id, cell.c.state == "failed")
        latest = query.order_by(cell.c.finished.desc()).limit(most)
        return [read_cell(row) for row in self._database.read(lambda connection: connection.execute(latest).all())]

    def trained_by(self, study_id: int, workers: Sequence[str], most: int) -> list[Cell]:
        """The cells of a study of which one of these workers has trained every epoch, the latest first."""
        alone = and_(cell.c.claims == 1, cell.c.leader.is_(None), cell.c.epochs > 0)
        query = select(*CELL_COLUMNS).where(cell.c.study_id == study_id, cell.c.worker.in_(workers), alone)
        latest = query.order_by(cell.c.started.desc()).limit(most)
        return [read_cell(row) for row in self._database.read(lambda connection: connection.execute(latest).all())]

    def curves(self, study_id: int) -> list[CurvePoint]:
        """Every epoch of every cell of a study."""
        query = select(*CURVE_COLUMNS).join(cell).where(cell.c.study_id == study_id)
        ordered = query.order_by(curve.c.cell_id, curve.c.at)
        # Row by row, so that the texts of all of them are never in memory together with what was read of them.
        return self._database.read(lambda connection: [read_curve_point(row) for row in connection.execute(ordered)])

    def curve(self, cell_id: int) -> list[CurvePoint]:
        """Every epoch of one cell."""
        query = select(*CURVE_COLUMNS).where(curve.c.cell_id == cell_id).order_by(curve.c.at)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [read_curve_point(row) for row in rows]

    def held_cells(self) -> set[int]:
        """The cells that workers hold, of all studies."""
        query = select(cell.c.id).where(cell.c.state == "leased")
        return set(self._database.read(lambda connection: connection.execute(query).scalars().all()))

    def kept_elsewhere(self) -> set[str]:
        """The paths of all checkpoint files that are referred to."""
        kept = [
            select(table.c.content).where(func.length(table.c.content) < LONGEST_REFERENCE)
            for table in (checkpoint, fork)
        ]
        rows = self._database.read(lambda connection: connection.execute(union_all(*kept)).scalars().all())
        return {
            row.removeprefix(REFERENCE).decode(errors="replace")
            for row in map(bytes, rows)
            if row.startswith(REFERENCE)
        }

    def weights(self, cell_id: int) -> bytes | None:
        """What is kept of the weights of a cell that is done: themselves, or a reference to where they are."""
        done = select(checkpoint.c.content).join(cell).where(cell.c.id == cell_id, cell.c.state == "done")
        found = self._database.read(lambda connection: connection.execute(done).scalar())
        return None if found is None else bytes(found)

    def trained_elsewhere(self, study_id: int, worker_id: str) -> bool:
        """Whether another worker has trained an epoch of the study."""
        return self._any(cell.c.study_id == study_id, cell.c.worker != worker_id, cell.c.epochs > 0)

    def failed_elsewhere(self, study_id: int, worker_id: str) -> bool:
        """Whether cells of the study have failed on another worker."""
        return self._any(cell.c.study_id == study_id, cell.c.failed_by != worker_id)

    def _any(self, *conditions: Any) -> bool:
        query = select(exists().where(*conditions))
        return bool(self._database.read(lambda connection: connection.execute(query).scalar()))

    def _execute(self, statement: Any) -> None:
        self._database.read(lambda connection: connection.execute(statement))


def _insert_cells(connection: Connection, study_id: int, cells: Iterable[PlannedCell]) -> None:
    rows = [cell_row(study_id, planned) for planned in cells]
    if rows:
        connection.execute(insert(cell), rows)


def _cells(connection: Connection, *which: Any) -> list[Cell]:
    query = select(*CELL_COLUMNS).where(*which).order_by(cell.c.id)
    return [read_cell(row) for row in connection.execute(query)]
