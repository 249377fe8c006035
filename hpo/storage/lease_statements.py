"""The statements of `leases`: what a worker may do with a cell, and under which condition.

They are made once, for to make one takes longer than to carry it out.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
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

from hpo.storage import tables
from hpo.storage.connection.engine import synchronous_commit_off
from hpo.storage.rows import CELL_COLUMNS
from hpo.storage.states import WITHDRAWN
from hpo.storage.tables import cell, checkpoint, curve, now, part, study

_leader = cell.alias("leader")
# A cell that goes on from another's first epochs can't begin before these have been trained, or never will be.
_READY = or_(
    cell.c.leader.is_(None),
    exists().where(
        _leader.c.id == cell.c.leader,
        or_(_leader.c.state.in_(["done", "failed", WITHDRAWN]), _leader.c.epochs >= cell.c.leader_epochs),
    ),
)
# A lease ends after its length at the latest, by whatever the database's clock was set back meanwhile.
RUN_OUT = or_(cell.c.lease_until < now(), cell.c.lease_until > now() + cell.c.lease_seconds)
_FREE = or_(
    and_(cell.c.state == "planned", _READY),
    and_(cell.c.state == "leased", RUN_OUT),
)
# Study by study, by an index over open cells: those of studies that are stopped, or of no concern, are not even seen.
_FIRST_OF_STUDY = (
    select(cell.c.id)
    .where(
        cell.c.study_id == study.c.id,
        tables.open_cells,
        _FREE,
        cell.c.id.not_in(bindparam("passed_over", expanding=True)),
    )
    .order_by(cell.c.id)
    .limit(1)
    .with_for_update(skip_locked=True, of=cell)
    .correlate(study)
    .scalar_subquery()
)
_FIRST_OF_EACH = select(_FIRST_OF_STUDY.label("id")).where(
    study.c.state == "running", study.c.uuid.not_in(bindparam("without", expanding=True))
)
_FIRST, _FIRST_OF_SOME = (
    select(func.min(each.subquery().c.id))
    for each in (_FIRST_OF_EACH, _FIRST_OF_EACH.where(study.c.name.in_(bindparam("studies", expanding=True))))
)
_UUID = select(study.c.uuid).where(study.c.id == cell.c.study_id).scalar_subquery().label("study_uuid")
# A claim that a crashed server has forgotten is one that another worker may make; its holder learns of it.
CLAIM, CLAIM_OF_SOME = (
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
    .returning(cell.c.study_id, _UUID, cell.c.token, *CELL_COLUMNS, synchronous_commit_off())
    for first in (_FIRST, _FIRST_OF_SOME)
)

_TOKEN = and_(cell.c.id == bindparam("held_cell"), cell.c.token == bindparam("held_token"))
_HELD = and_(_TOKEN, cell.c.state == "leased")

HOLDS = select(cell.c.id).where(_HELD)
"""Finds the cell under its lease, which `lease_params` names."""


def under_lease(**values: Any) -> Update:
    """Sets values of a cell under its lease, which `lease_params` names."""
    return update(cell).where(_HELD).values(values).returning(cell.c.id)


RENEW = under_lease(lease_until=now() + bindparam("length"), lease_seconds=bindparam("length"))
PROPOSE = under_lease(params=bindparam("proposed"))
_progress = bindparam("epoch") > cell.c.epochs


def seconds_after(epoch: Any, *conditions: Any) -> Any:
    """What a cell's own epochs took; those up to `epoch` another cell has trained for it."""
    later = (curve.c.cell_id == cell.c.id, curve.c.at > func.coalesce(epoch, 0))
    return select(func.coalesce(func.sum(curve.c.seconds), 0.0)).where(*later, *conditions).scalar_subquery()


# With what is written now it is the curve's own sum, though a trial that begins anew writes its epochs twice.
_OTHER_EPOCHS = seconds_after(
    cell.c.leader_epochs, or_(curve.c.at < bindparam("first_epoch"), curve.c.at > bindparam("epoch"))
)
_PROGRESS = {
    "epochs": case((_progress, bindparam("epoch")), else_=cell.c.epochs),
    "seconds": _OTHER_EPOCHS + bindparam("spent"),
}
RECORD = (
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
RELEASED: dict[str, Any] = {
    "state": "planned",
    "token": None,
    "lease_until": None,
    "attempts": case((cell.c.attempts > 0, cell.c.attempts - 1), else_=0),
}
RELEASE = under_lease(**RELEASED, reason=func.coalesce(bindparam("in_a_line"), cell.c.reason))
_RAISED = {
    "failed_by": func.coalesce(cell.c.failed_by, cell.c.worker),
    "error": bindparam("why"),
    "reason": bindparam("in_a_line"),
}
RETRY_LATER = under_lease(state="planned", token=None, lease_until=None, **_RAISED)
LEAVE_TO_OTHERS = under_lease(**RELEASED, **_RAISED)
FAIL = under_lease(
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
# The token stays: a worker to whom the answer did not come asks again, and the cell may be withdrawn by then.
_unfinished = cell.c.state == "leased"
FINISH = (
    update(cell)
    .where(_TOKEN)
    .values(
        {name: case((_unfinished, value), else_=cell.c[name]) for name, value in _PROGRESS.items()},
    )
    .values(
        state=case((cell.c.state == WITHDRAWN, WITHDRAWN), else_="done"),
        lease_until=None,
        ended=bindparam("how"),
        score=bindparam("final"),
        metrics=bindparam("measured"),
        error=None,
        reason=bindparam("in_a_line", type_=Text),
        failed_by=None,
        finished=now(),
    )
    .returning(_HAS_TRIAL)
)
TRIAL = select(cell.c.trial_id, cell.c.trial_number).where(_HELD)
FORGET = delete(checkpoint).where(checkpoint.c.cell_id == bindparam("forgotten_cell"))
FORGET_PARTS = delete(part).where(part.c.cell_id == bindparam("forgotten_cell"), part.c.name.startswith("last-"))
