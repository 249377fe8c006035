"""What a worker does with a cell: claim it, and write to it for as long as its lease holds.

Every method is one transaction, on Postgres one statement, and may be repeated if its answer was lost. A worker writes
only under its lease's token; the moment another worker has claimed the cell, the token differs, and the write raises
`LeaseLost` without a trace.

    planned ──claim──▶ leased ──finish──▶ done
       ▲                 │ ├──release, retry_later──▶ planned
       │                 │ └──set_aside──▶ failed
       └── lease ran out ┘  (claimed again: the next worker continues the same trial)

What is to be written to Optuna's tables together with ours is given as `also`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Row,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    exists,
    func,
    or_,
    select,
    table,
    update,
)

from hpo.errors import LeaseLost, OptunaStudyGone
from hpo.space import Params
from hpo.storage import tables
from hpo.storage.database import Database
from hpo.storage.engine import unhurried
from hpo.storage.new_trial import NewTrial, new_trial
from hpo.storage.rows import (
    CELL_COLUMNS,
    Lease,
    curve_row,
    finite,
    read_cell,
)
from hpo.storage.tables import cell, checkpoint, curve, fork, now, part, study
from hpo.storage.texts import storable
from hpo.storage.together import Answer, Change, Reading, Upsert, Write, together_with
from hpo.train.clock import Evaluation, Score

NO_EPOCH = 2**31 - 1
"""Beyond every epoch."""

# Statements are made once: to make one takes longer than to carry it out.

_leader = cell.alias("leader")
# A cell that goes on from another's first epochs can't begin before these have been trained, or never will be.
_READY = or_(
    cell.c.leader.is_(None),
    exists().where(
        _leader.c.id == cell.c.leader,
        or_(_leader.c.state.in_(["done", "failed"]), _leader.c.epochs >= cell.c.leader_epochs),
    ),
)
# A lease ends after its length at the latest, by whatever the database's clock was set back meanwhile.
RUN_OUT = or_(cell.c.lease_until < now(), cell.c.lease_until > now() + cell.c.lease_seconds)
_FREE = or_(
    and_(cell.c.state == "planned", _READY),
    and_(cell.c.state == "leased", RUN_OUT),
)
_FIRST = (
    select(cell.c.id)
    .join(study, study.c.id == cell.c.study_id)
    .where(
        tables.open_cells,
        _FREE,
        study.c.state == "running",
        study.c.uuid.not_in(bindparam("without", expanding=True)),
        cell.c.id.not_in(bindparam("passed_over", expanding=True)),
    )
    .order_by(cell.c.id)
    .limit(1)
    .with_for_update(skip_locked=True, of=cell)
)
_FIRST_OF_SOME = _FIRST.where(study.c.name.in_(bindparam("studies", expanding=True)))
_UUID = select(study.c.uuid).where(study.c.id == cell.c.study_id).scalar_subquery().label("study_uuid")
# A claim that a crashed server has forgotten is one that another worker may make; its holder learns of it.
_CLAIM, _CLAIM_OF_SOME = (
    update(cell)
    .where(cell.c.id == first.scalar_subquery())
    .values(
        state="leased",
        token=bindparam("new_token"),
        worker=bindparam("new_worker"),
        lease_until=now() + bindparam("length"),
        lease_seconds=bindparam("length"),
        attempts=cell.c.attempts + 1,
        claims=cell.c.claims + 1,
        started=func.coalesce(cell.c.started, now()),
    )
    .returning(cell.c.study_id, _UUID, cell.c.token, *CELL_COLUMNS, unhurried())
    for first in (_FIRST, _FIRST_OF_SOME)
)

_TOKEN = and_(cell.c.id == bindparam("held_cell"), cell.c.token == bindparam("held_token"))
_HELD = and_(_TOKEN, cell.c.state == "leased")

HOLDS = select(cell.c.id).where(_HELD)
"""Finds the cell under its lease, which `names` names."""


def held(**values: Any) -> Update:
    """Sets values of a cell under its lease, which `names` names."""
    return update(cell).where(_HELD).values(values).returning(cell.c.id)


_RENEW = held(lease_until=now() + bindparam("length"), lease_seconds=bindparam("length"))
_PROPOSE = held(params=bindparam("proposed"))
_progress = bindparam("epoch") > cell.c.epochs
# The curve's own sum, whatever is written twice; without the epochs that another cell has trained for this one.
_BEFORE = (
    select(func.coalesce(func.sum(curve.c.seconds), 0.0))
    .where(
        curve.c.cell_id == cell.c.id,
        curve.c.epoch < bindparam("first_epoch"),
        curve.c.epoch > func.coalesce(cell.c.leader_epochs, 0),
    )
    .scalar_subquery()
)
_PROGRESS = {
    "epochs": case((_progress, bindparam("epoch")), else_=cell.c.epochs),
    "seconds": _BEFORE + bindparam("spent"),
}
_RECORD = (
    update(cell)
    .where(_HELD)
    .values(
        lease_until=now() + bindparam("length"),
        lease_seconds=bindparam("length"),
        attempts=case((_progress, 0), else_=cell.c.attempts),
        failed_by=case((_progress, None), else_=cell.c.failed_by),
        **_PROGRESS,
    )
    .returning(select(study.c.state).where(study.c.id == cell.c.study_id).scalar_subquery().label("state"))
)
GIVEN_BACK: dict[str, Any] = {
    "state": "planned",
    "token": None,
    "lease_until": None,
    "attempts": case((cell.c.attempts > 0, cell.c.attempts - 1), else_=0),
}
_RELEASE = held(**GIVEN_BACK, reason=func.coalesce(bindparam("in_a_line"), cell.c.reason))
_RAISED = {
    "failed_by": func.coalesce(cell.c.failed_by, cell.c.worker),
    "error": bindparam("why"),
    "reason": bindparam("in_a_line"),
}
_RETRY_LATER = held(state="planned", token=None, lease_until=None, **_RAISED)
_LEAVE_TO_OTHERS = held(**GIVEN_BACK, **_RAISED)
_SET_ASIDE = held(
    state="failed",
    token=None,
    lease_until=None,
    error=bindparam("why"),
    reason=bindparam("in_a_line"),
    finished=now(),
)
# Optuna's trial of the cell bears its id; another tool may have removed it.
_borne = table("trial_user_attributes", column("trial_id"), column("key"), column("value_json"))
_HAS_TRIAL = (
    exists()
    .where(
        _borne.c.trial_id == cell.c.trial_id,
        _borne.c.key == "cell",
        _borne.c.value_json == cast(cell.c.id, Text),
    )
    .label("has_trial")
)
# The token stays: a worker to whom the answer did not come asks again.
_unfinished = cell.c.state == "leased"
_FINISH = (
    update(cell)
    .where(_TOKEN)
    .values(
        {name: case((_unfinished, value), else_=cell.c[name]) for name, value in _PROGRESS.items()},
    )
    .values(
        state="done",
        lease_until=None,
        ended=bindparam("how"),
        score=bindparam("final"),
        validation_loss=bindparam("loss_on_validation"),
        validation_accuracy=bindparam("accuracy_on_validation"),
        test_loss=bindparam("loss_on_test"),
        test_accuracy=bindparam("accuracy_on_test"),
        error=None,
        reason=None,
        failed_by=None,
        finished=now(),
    )
    .returning(_HAS_TRIAL)
)
_TRIAL = select(cell.c.trial_id, cell.c.trial_number).where(_HELD)
_FORGET = delete(checkpoint).where(checkpoint.c.cell_id == bindparam("forgotten_cell"))
_FORGET_PARTS = delete(part).where(part.c.cell_id == bindparam("forgotten_cell"), part.c.name.startswith("last-"))


class Leases:
    """The cells, as workers see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        worker_id: str,
        seconds: float,
        studies: Sequence[str] = (),
        *,
        without: Collection[str] = (),
        passed_over: Collection[int] = (),
    ) -> Lease | None:
        """Take the first cell that is free, or whose lease ran out, for `seconds`; None if there is none.

        Only of the `studies` of these names, if there are any; of none whose uuid is in `without`; and none of the
        cells that are `passed_over`.
        """
        parameters = {
            "new_token": secrets.token_hex(16),
            "new_worker": worker_id,
            "length": seconds,
            "without": list(without),
            "passed_over": list(passed_over),
        }
        statement, some = (_CLAIM_OF_SOME, {"studies": list(studies)}) if studies else (_CLAIM, {})
        found = together_with(self._database, statement, parameters | some)
        if found is None:
            return None
        row, _ = found
        return Lease(read_cell(row), row.study_id, row.study_uuid, row.token)

    def begin_trial(self, lease: Lease, optuna_study: str, started: datetime) -> NewTrial:
        """The cell's Optuna trial; if it has none, one is made in the transaction in which it is noted.

        So there is never a trial without its cell or a second one for a cell, whoever vanishes when.

        Raises:
            LeaseLost: another worker holds the cell; nothing was made.
            OptunaStudyGone: there is no Optuna study of this name that is ours; nothing was made.
        """
        held = {"held_cell": lease.cell.id, "held_token": lease.token}
        made = new_trial(self._database, held, optuna_study, json.dumps(lease.study_uuid), started)
        if made is not None:
            return made
        row = self._database.read(lambda connection: connection.execute(_TRIAL, held).one_or_none())
        if row is None:
            raise lost(lease)
        if row.trial_id is None:
            raise OptunaStudyGone(f"the Optuna study {optuna_study} is missing")
        return NewTrial(row.trial_id, row.trial_number)  # the answer to an earlier try was lost

    def propose(self, lease: Lease, params: Params, also: Sequence[Write] = ()) -> None:
        """Keep the parameters that the sampler has proposed for the cell."""
        self.write(_PROPOSE, lease, {"proposed": json.dumps(params)}, also)

    def renew(self, lease: Lease, seconds: float) -> None:
        """Keep the cell for `seconds` from now.

        Raises:
            LeaseLost: another worker holds it.
        """
        self.write(_RENEW, lease, {"length": seconds})

    def record(
        self,
        lease: Lease,
        epochs: Sequence[Evaluation],
        seconds: float,
        saved: bytes | None = None,
        also: Sequence[Write] = (),
        forked: bytes | None = None,
        question: Reading | None = None,
    ) -> tuple[str, Answer]:
        """Keep the metrics of epochs, and a checkpoint if given, and renew the lease.

        `forked` is a checkpoint after the last of them, for other cells to go on from. Returns the study's state, and
        the answer to the question, if there is one.

        Raises:
            LeaseLost: another worker holds the cell; nothing was written.
        """
        kept = [*_saving(lease, saved), *_forking(lease, epochs[-1].epoch, forked)]
        parameters = {"length": seconds} | _progress_of(epochs)
        row, answer = self._write_and_read(_RECORD, lease, parameters, [*_curve(lease, epochs), *kept, *also], question)
        return str(row.state), answer

    def release(self, lease: Lease, saved: bytes | None = None, reason: str | None = None) -> None:
        """Give the cell back unfinished, for whoever claims next; this does not count as an attempt."""
        self.write(_RELEASE, lease, {"in_a_line": reason and storable(reason)}, _saving(lease, saved))

    def retry_later(self, lease: Lease, error: str, reason: str, *, counted: bool = True) -> None:
        """Give the cell back after an attempt that failed: with its traceback, and the reason in a line.

        One that is not `counted` leaves the last attempt to another worker.
        """
        statement = _RETRY_LATER if counted else _LEAVE_TO_OTHERS
        self.write(statement, lease, {"why": storable(error), "in_a_line": storable(reason)})

    def set_aside(self, lease: Lease, error: str, reason: str, also: Sequence[Write] = ()) -> None:
        """The cell has failed for good."""
        why = {"why": storable(error), "in_a_line": storable(reason)}
        self.write(_SET_ASIDE, lease, why, [*_forgetting(lease), *also])

    def finish(
        self,
        lease: Lease,
        ended: str,
        score: float,
        validation: Score | None,
        test: Score | None,
        also: Sequence[Write] = (),
        epochs: Sequence[Evaluation] = (),
    ) -> bool:
        """The cell is done, with this result; `epochs` are its last, as far as they have not been recorded.

        Returns whether its Optuna trial is there, so that `also` could be written to it.
        """
        parameters = _progress_of(epochs) | {
            "how": ended,
            "final": score,
            "loss_on_validation": finite(validation.loss) if validation else None,
            "accuracy_on_validation": validation.accuracy if validation else None,
            "loss_on_test": finite(test.loss) if test else None,
            "accuracy_on_test": test.accuracy if test else None,
        }
        row = self.write(_FINISH, lease, parameters, [*_curve(lease, epochs), *_forgetting(lease), *also])
        return bool(row.has_trial)

    def checkpoint(self, lease: Lease) -> bytes | None:
        """The last checkpoint of the cell."""
        query = select(checkpoint.c.content).where(checkpoint.c.cell_id == lease.cell.id)
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def write(self, first: Update, lease: Lease, parameters: dict[str, Any], writes: Sequence[Write] = ()) -> Row[Any]:
        row, _ = self._write_and_read(first, lease, parameters, writes, None)
        return row

    def _write_and_read(
        self,
        first: Update,
        lease: Lease,
        parameters: dict[str, Any],
        writes: Sequence[Write],
        reading: Reading | None,
    ) -> tuple[Row[Any], Answer]:
        found = together_with(self._database, first, names(lease) | parameters, writes, reading)
        if found is None:
            raise lost(lease)
        return found


def names(lease: Lease) -> dict[str, Any]:
    """The parameters by which a statement knows a lease."""
    return {"held_cell": lease.cell.id, "held_token": lease.token}


def lost(lease: Lease) -> LeaseLost:
    """What is raised when the token differs."""
    return LeaseLost(f"the lease of cell {lease.cell.id} is lost: another worker continues it")


def _progress_of(epochs: Sequence[Evaluation]) -> dict[str, Any]:
    return {
        "epoch": epochs[-1].epoch if epochs else 0,
        "first_epoch": epochs[0].epoch if epochs else NO_EPOCH,
        "spent": sum(epoch.seconds for epoch in epochs),
    }


def _curve(lease: Lease, epochs: Sequence[Evaluation]) -> list[Write]:
    if not epochs:
        return []
    return [Upsert(curve, ("cell_id", "epoch"), [curve_row(lease.cell.id, epoch) for epoch in epochs])]


def _saving(lease: Lease, content: bytes | None) -> list[Write]:
    if content is None:
        return []
    return [Upsert(checkpoint, ("cell_id",), [{"cell_id": lease.cell.id, "content": content}], time="saved")]


def _forking(lease: Lease, epoch: int, content: bytes | None) -> list[Write]:
    if content is None:
        return []
    return [Upsert(fork, ("cell_id", "epoch"), [{"cell_id": lease.cell.id, "epoch": epoch, "content": content}])]


def _forgetting(lease: Lease) -> list[Write]:
    return [Change(statement, {"forgotten_cell": lease.cell.id}) for statement in (_FORGET, _FORGET_PARTS)]
