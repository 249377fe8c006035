"""Optuna's studies of ours: found, made and deleted within the transaction that plans or deletes our study.

The search of an arm is the Optuna study `STUDY/ARM` (a second one `STUDY/ARM/search-2`, and so on), its confirm phase
`STUDY/ARM/confirm` and an audit of the pruner `STUDY/ARM/audit`, so that the best value, the importances and the
proposals of the first are not mixed with repetitions of the best.

Any tool may delete, rename or make an Optuna study, and SQLite gives ids again. So each of ours bears a mark: the user
attribute `hpo` is our study's uuid. What has our name and our mark is ours.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from optuna.study import StudyDirection
from sqlalchemy import Connection, and_, delete, func, insert, select

from hpo.errors import StudyError
from hpo.metric import Metric
from hpo.optuna_private import (
    ALL_TABLES,
    METRIC_NAMES,
    STUDIES,
    STUDY_DIRECTIONS,
    STUDY_SYSTEM_ATTRS,
    STUDY_USER_ATTRS,
    TRIALS,
)
from hpo.storage.rows import Cell
from hpo.study import StudySpec
from hpo.study.protocol import MOST_SEARCHES

MARK = "hpo"
"""The user attribute that says whose an Optuna study is."""


def study_name(study: str, arm: str, phase: str, search: int = 1) -> str:
    """The name of the Optuna study that holds an arm's trials of one phase; of the search phase, of one search."""
    if phase != "search":
        return f"{study}/{arm}/{phase}"
    return f"{study}/{arm}" if search == 1 else f"{study}/{arm}/search-{search}"


def name_for(study: str, cell: Cell) -> str:
    """The name of the Optuna study that holds the trial of a cell."""
    return study_name(study, cell.arm, cell.phase, cell.search)


def names_of(study: StudySpec) -> list[str]:
    """The name of every Optuna study that the study is going to need."""
    protocol = study.protocol
    further = [phase for phase, needed in (("audit", protocol.audit), ("confirm", protocol.confirm)) if needed]
    return [
        name
        for arm in study.arms
        for name in (
            *(study_name(study.name, arm, "search", search) for search in protocol.all_searches),
            *(study_name(study.name, arm, phase) for phase in further),
        )
    ]


def names_in(name: str, spec: str) -> list[str]:
    """Every name that an Optuna study of a stored study can have; its JSON need not be readable by this release.

    Where another program has put something else in its place there are none.
    """
    try:
        table = json.loads(spec)
        arms, searches = dict(table["arms"]), int(table.get("protocol", {}).get("searches", 1))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return []
    phases = [("search", search) for search in range(1, min(searches, MOST_SEARCHES) + 1)]
    phases += [("audit", 1), ("confirm", 1)]
    return [study_name(name, arm, *which) for arm in arms for which in phases]


def mark(uuid: str) -> str:
    """The mark of the Optuna studies of our study `uuid`, as it is stored."""
    return json.dumps(uuid)


@dataclass(frozen=True, slots=True)
class OptunaStudy:
    """An Optuna study as it was found."""

    id: int
    name: str
    mark: str | None
    """The mark as it is stored."""
    directions: tuple[StudyDirection, ...]

    def is_of(self, uuid: str, metric: Metric) -> bool:
        """Whether it is one that we have made for the study `uuid`, which is judged by `metric`."""
        return self.mark == mark(uuid) and self.directions == (direction_of(metric),)


def find(connection: Connection, names: Collection[str]) -> dict[str, OptunaStudy]:
    """Those of the Optuna studies of these names that exist, by name."""
    marked = and_(STUDY_USER_ATTRS.c.study_id == STUDIES.c.study_id, STUDY_USER_ATTRS.c.key == MARK)
    query = select(STUDIES.c.study_id, STUDIES.c.study_name, STUDY_USER_ATTRS.c.value_json)
    named = query.outerjoin(STUDY_USER_ATTRS, marked).where(STUDIES.c.study_name.in_(names))
    rows = connection.execute(named.order_by(STUDIES.c.study_id)).all()
    directions = _directions_of(connection, [row.study_id for row in rows])
    return {
        row.study_name: OptunaStudy(row.study_id, row.study_name, row.value_json, directions[row.study_id])
        for row in rows
    }


def id_of(connection: Connection, name: str, uuid: str) -> int | None:
    """Optuna's id of the study of this name that we have made for the study `uuid`, if it is there."""
    marked = and_(STUDY_USER_ATTRS.c.key == MARK, STUDY_USER_ATTRS.c.value_json == mark(uuid))
    query = select(STUDIES.c.study_id).join(STUDY_USER_ATTRS, STUDY_USER_ATTRS.c.study_id == STUDIES.c.study_id)
    found: int | None = connection.execute(query.where(STUDIES.c.study_name == name, marked)).scalar()
    return found


def make(connection: Connection, names: Collection[str], uuid: str, metric: Metric) -> dict[str, int]:
    """Make Optuna studies of these names for the study `uuid`, which is judged by `metric`; returns their ids.

    There are none of these names.
    """
    made = insert(STUDIES).returning(STUDIES.c.study_name, STUDIES.c.study_id)
    rows = connection.execute(made, [{"study_name": name} for name in names]).all()
    ids = {row.study_name: row.study_id for row in rows}
    connection.execute(
        insert(STUDY_DIRECTIONS),
        [{"study_id": id, "objective": 0, "direction": direction_of(metric)} for id in ids.values()],
    )
    connection.execute(
        insert(STUDY_USER_ATTRS),
        [{"study_id": id, "key": MARK, "value_json": mark(uuid)} for id in ids.values()],
    )
    named = {"key": METRIC_NAMES, "value_json": json.dumps([metric.words])}
    connection.execute(insert(STUDY_SYSTEM_ATTRS), [{"study_id": id} | named for id in ids.values()])
    return ids


def lock(connection: Connection, names: Collection[str]) -> None:
    """Let nobody make a trial in the Optuna studies of these names until the transaction ends.

    Whoever locks both locks these before the row of our study.
    """
    named = select(STUDIES.c.study_id).where(STUDIES.c.study_name.in_(names))
    connection.execute(named.order_by(STUDIES.c.study_id).with_for_update()).all()


def remove(connection: Connection, names: Collection[str], uuid: str) -> None:
    """Delete those of these names that we have made for the study `uuid`, with all that belongs to them."""
    some = [study.id for study in find(connection, names).values() if study.mark == mark(uuid)]
    trials = select(TRIALS.c.trial_id).where(TRIALS.c.study_id.in_(some))
    # From the tables that refer to others to those that are referred to: no cascade is relied on.
    for table in reversed(ALL_TABLES):
        if "study_id" in table.c:
            connection.execute(delete(table).where(table.c.study_id.in_(some)))
        elif "trial_id" in table.c:
            connection.execute(delete(table).where(table.c.trial_id.in_(trials)))


def refuse_foreign(
    connection: Connection, found: Iterable[OptunaStudy], metric: Metric, uuid: str | None = None
) -> None:
    """Refuse Optuna studies that have one of our names and are not of the study `uuid`, judged by `metric`.

    Raises:
        StudyError: there is one.
    """
    for study in found:
        if uuid is not None and study.is_of(uuid, metric):
            continue
        count = select(func.count()).select_from(TRIALS).where(TRIALS.c.study_id == study.id)
        trials: int = connection.execute(count).scalar_one()
        raise StudyError(
            f"{study.name}: there is already an Optuna study of this name that hpo did not create ({trials} trials)",
            hint="give this study another name (--name), or remove the other: "
            f"optuna delete-study --study-name {study.name} --storage URL",
        )


def direction_of(metric: Metric) -> StudyDirection:
    return StudyDirection.MAXIMIZE if metric.goal == "maximize" else StudyDirection.MINIMIZE


def _directions_of(connection: Connection, ids: Collection[int]) -> dict[int, tuple[StudyDirection, ...]]:
    query = select(STUDY_DIRECTIONS.c.study_id, STUDY_DIRECTIONS.c.direction).where(
        STUDY_DIRECTIONS.c.study_id.in_(ids)
    )
    found: defaultdict[int, tuple[StudyDirection, ...]] = defaultdict(tuple)
    for study_id, direction in connection.execute(query.order_by(STUDY_DIRECTIONS.c.objective)):
        found[study_id] += (direction,)
    return found
