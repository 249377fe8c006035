"""How far a study is: its cells counted by arm and phase, with the best score that a configuration has so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, and_, case, func, select

from hpo.metric import Goal
from hpo.storage.lease_statements import RUN_OUT
from hpo.storage.rows import ArmProgress, a_duration, is_plausible
from hpo.storage.states import SEARCH, WITHDRAWN
from hpo.storage.tables import cell


def _number(*conditions: Any) -> Any:
    return func.coalesce(func.sum(case((and_(*conditions), 1), else_=0)), 0)


_leased = cell.c.state == "leased"
_done = cell.c.state == "done"
_pruned = and_(_done, cell.c.ended == "pruned")
_best_trial = case((and_(_done, cell.c.ended != "pruned"), cell.c.score))
_COUNTS = (
    select(
        cell.c.arm,
        cell.c.phase,
        _number(cell.c.state == "planned").label("planned"),
        _number(_leased).label("leased"),
        _number(_leased, RUN_OUT).label("stale"),
        _number(_done).label("done"),
        _number(cell.c.state == "failed").label("failed"),
        _number(_pruned).label("pruned"),
        _number(_done, cell.c.ended == "diverged").label("diverged"),
        func.sum(cell.c.epochs).label("epochs"),
        func.sum(case((_done, cell.c.epochs), else_=0)).label("done_epochs"),
        func.sum(cell.c.seconds).label("seconds"),
        func.max(_best_trial).label("highest"),
        func.min(_best_trial).label("lowest"),
        (func.min(cell.c.seed) < func.max(cell.c.seed)).label("several_seeds"),
    )
    .where(cell.c.state != WITHDRAWN)
    .group_by(cell.c.arm, cell.c.phase)
    .order_by(func.min(cell.c.id))
)
# A slot is a configuration, and one that was pruned under any seed does not compete.
_mean = func.avg(cell.c.score)
_BEST = (
    select(_mean.label("score"), func.count().label("seeds"))
    .where(_done)
    .group_by(cell.c.slot)
    .having(_number(_pruned) == 0, func.count(cell.c.score) == func.count())  # one without a score has no mean
    .limit(1)
)
_ORDERS: Mapping[Goal, Any] = {"maximize": _mean.desc(), "minimize": _mean}


def count_cells(connection: Connection, study_id: int, goal: Goal) -> list[ArmProgress]:
    """Counts of every arm and phase that has cells, in the order of planning; the best score is that by `goal`."""
    found = []
    for row in connection.execute(_COUNTS.where(cell.c.study_id == study_id)).all():
        values = dict(row._mapping)
        several_seeds = values.pop("several_seeds")
        scores = {"maximize": values.pop("highest"), "minimize": values.pop("lowest")}
        values["seconds"] = a_duration(row.seconds)
        best = scores[goal] if is_plausible(scores[goal]) else None
        progress = ArmProgress(**values, best=best, seeds=0 if best is None else 1)
        found.append(_with_mean(connection, study_id, progress, goal) if several_seeds else progress)
    return found


def best_trials(connection: Connection, study_id: int, goal: Goal) -> dict[str, int]:
    """Arm -> the trial of its search that has the best score so far; of equal ones the first."""
    own = (cell.c.study_id == study_id, cell.c.phase == SEARCH, _best_trial.is_not(None))
    order = _best_trial.desc() if goal == "maximize" else _best_trial
    place = func.row_number().over(partition_by=cell.c.arm, order_by=(order, cell.c.id)).label("place")
    ranked = select(cell.c.arm, cell.c.id, place).where(*own).subquery()
    rows = connection.execute(select(ranked.c.arm, ranked.c.id).where(ranked.c.place == 1)).all()
    return {row.arm: row.id for row in rows}


def _with_mean(connection: Connection, study_id: int, progress: ArmProgress, goal: Goal) -> ArmProgress:
    """Take the best mean over a configuration's seeds, where that is not the best score of a trial."""
    own = (cell.c.study_id == study_id, cell.c.arm == progress.arm, cell.c.phase == progress.phase)
    best = connection.execute(_BEST.where(*own).order_by(_ORDERS[goal], cell.c.slot)).one_or_none()
    if best is None or not is_plausible(best.score):
        return replace(progress, best=None, seeds=0)
    return replace(progress, best=best.score, seeds=best.seeds)
