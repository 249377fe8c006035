"""What the storage hands out: rows as frozen values; and how they are read and written."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any, Self

from sqlalchemy import ColumnElement, Row, func

from hpo.errors import StorageError, StudyError
from hpo.metric import Metric
from hpo.search.space import Params
from hpo.storage import tables
from hpo.storage.states import CONFIRM, ENDED, OPEN, CellState, Ending, Phase, StudyState
from hpo.trainers.trainer import Evaluation
from hpo.words.explain import shown
from hpo.words.failure import what_to_do

SLOTS_OF_A_SEARCH = 10_000
"""An arm's slots are counted through all its searches, so many for each: a slot tells its search. No other number will
do once studies are stored."""


def first_slot(search: int) -> int:
    """The first slot of an arm's `search`, counted from 1."""
    return (search - 1) * SLOTS_OF_A_SEARCH


def search_of(slot: int) -> int:
    """Which of its arm's searches a slot belongs to, counted from 1."""
    return 1 + slot // SLOTS_OF_A_SEARCH


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One thing that must be run."""

    arm: str
    phase: Phase
    """search or confirm."""
    slot: int
    seed: int
    params: Params | None
    """None: the arm's sampler will propose them."""

    @property
    def search(self) -> int:
        """The search of its arm that it belongs to, or follows from, counted from 1."""
        return search_of(self.slot)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as it stands in the ledger."""

    id: int
    arm: str
    phase: Phase
    slot: int
    seed: int
    params: Params | None
    state: CellState
    attempts: int
    claims: int
    leader: int | None
    """The cell whose first epochs are this one's too: waited for while planned, gone on from later."""
    leader_epochs: int | None
    trial_id: int | None
    """Optuna's."""
    trial_number: int | None
    epochs: int
    seconds: float
    ended: Ending | None
    score: float | None
    """What it is judged by; the metric's worst value if it diverged, or None where there is none."""
    metrics: Mapping[str, float | None]
    """What was measured after its end, by name, None if it is not finite; of test in the confirm phase alone."""
    error: str | None
    """Why the last attempt failed, with its traceback."""
    reason: str | None
    """The error in a line."""
    failed_by: str | None
    """The first worker on which it has failed since its last epoch of progress."""
    worker: str | None
    started: float | None
    finished: float | None

    @property
    def search(self) -> int:
        """The search of its arm that it belongs to, or follows from, counted from 1."""
        return search_of(self.slot)

    @property
    def confirm_seed(self) -> int | None:
        """Its seed, in the confirm phase; None in the search, whose trials begin alike."""
        return self.seed if self.phase == CONFIRM else None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be run, or run now."""
        return self.state in OPEN

    @property
    def has_ended(self) -> bool:
        """Whether it will not be run any more, as things stand."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class PlanChanges:
    """What is to change in the plan of a study."""

    added: tuple[PlannedCell, ...] = ()
    unneeded: tuple[Cell, ...] = ()
    """Planned once, and following from the search no more: to be withdrawn, but for those that are in work."""
    restored: tuple[Cell, ...] = ()
    """Withdrawn once, and following from the search again."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to a cell, until it runs out or is renewed: no valid token, no write."""

    cell: Cell
    study_id: int
    study_uuid: str
    token: str


@dataclass(frozen=True, slots=True)
class PrefixCheckpoint:
    """A place in a cell's trial from which others can go on: after its first `epochs`."""

    cell: int
    epochs: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One epoch of one cell."""

    cell_id: int
    at: int
    """Epochs done."""
    seconds: float
    metrics: Mapping[str, float | None]
    """All that was reported, by name; None if it is not finite."""

    def traced(self, prefix: str) -> dict[str, float | None]:
        """What was reported under names that begin so, without the beginning."""
        return {name.removeprefix(prefix): value for name, value in self.metrics.items() if name.startswith(prefix)}


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study in the storage."""

    id: int
    uuid: str
    """Never given again, as an id is once its study was deleted."""
    name: str
    spec: str
    """JSON of hpo.study.StudySpec."""
    rehearsal: str | None
    """JSON of hpo.study.rehearsed.Rehearsal; None if its trial was not rehearsed before the launch."""
    state: StudyState
    reason: str | None
    """Why it failed."""
    data: str | None
    """Fingerprint of its images; None before the first worker."""
    hpo_version: str
    created: float

    def check_open(self) -> None:
        """See that the study may be worked on.

        Raises:
            StudyError: someone has stopped it, or it has failed; only they can say that it goes on.
        """
        if self.state == "stopped":
            raise StudyError(f"{self.name} is stopped", hint=f"hpo resume {self.name}")
        if self.state == "failed":
            raise StudyError(f"{self.name} has failed: {self.reason}", hint=what_to_do(self.name))


@dataclass(frozen=True, slots=True)
class Activity:
    """Whether anything has happened in a running study, as an idle worker sees it."""

    id: int
    uuid: str
    open: bool
    """Cells are planned, or in work."""
    last_ended: float | None
    """When the last of its cells ended."""
    due: bool
    """Nobody has looked what follows since then, or not for a while."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker that has been seen."""

    id: str
    host: str
    pid: int
    device: str
    environment: Mapping[str, str]
    started: float
    seen: float
    ended: float | None
    reason: str | None
    """What it can't do there, or why it ended."""
    alive: bool
    """Seen recently, by the database's clock, and not ended."""
    troubled: bool
    """It has said within the last hour what it can't do."""


@dataclass(frozen=True, slots=True)
class ArmProgress:
    """Counts of an arm's cells in one phase."""

    arm: str
    phase: Phase
    planned: int
    leased: int
    stale: int
    """The leased cells whose lease has run out."""
    done: int
    failed: int
    pruned: int
    """The done ones that were pruned."""
    diverged: int
    """The done ones that diverged."""
    epochs: int
    """Spent so far, by all cells together."""
    done_epochs: int
    """The epochs spent by cells that are done."""
    seconds: float
    """Seconds of training, summed over workers."""
    best: float | None
    """The best score of a configuration so far: the mean over its seeds."""
    seeds: int
    """Seeds of that configuration that are done so far."""

    @classmethod
    def none_of(cls, arm: str, phase: Phase) -> Self:
        """Count an arm and phase without any cell."""
        counts = dict.fromkeys(("planned", "leased", "stale", "done", "failed", "pruned", "diverged", "epochs"), 0)
        return cls(arm, phase, **counts, done_epochs=0, seconds=0.0, best=None, seeds=0)

    @property
    def total(self) -> int:
        """All cells, whatever their state."""
        return self.open + self.done + self.failed

    @property
    def open(self) -> int:
        """Cells that are still to be run, or run now."""
        return self.planned + self.leased


def value_of(metric: Metric, measured: Cell | CurvePoint) -> float | None:
    """What a cell measured after its last epoch, or at the end of an epoch; None if nothing finite, or not this."""
    return measured.metrics.get(metric.name)


LARGEST = 1e100
"""No number that is measured is larger: those of a net have 32 bits."""
LATEST = 253_402_300_799.0
"""The last second of the year 9999."""


def is_plausible(value: float | None) -> bool:
    """Whether a number can have been measured; whoever may write to the database can put any in its place."""
    return value is None or abs(value) <= LARGEST  # False for what is not a number


def a_time(value: float | None) -> float | None:
    """A time as it was stored; None in place of one that no calendar has."""
    return value if value is not None and 0.0 <= value <= LATEST else None


def a_duration(value: float) -> float:
    """Seconds as they were stored; 0 in place of what can't be."""
    return value if 0.0 <= value <= LATEST else 0.0


def new_identity() -> str:
    """What names a database or a study, and is never given again."""
    return uuid.uuid4().hex


LONGEST_TEXT = 100_000
"""Characters of a text that are read: what we write is shorter, and another program could write anything."""


def bounded(column: ColumnElement[str]) -> ColumnElement[str]:
    """A column of texts, each as far as it is read."""
    return func.substr(column, 1, LONGEST_TEXT).label(column.name)


CELL_COLUMNS = [
    bounded(tables.cell.c[name]) if name in ("error", "reason") else tables.cell.c[name]
    for name in Cell.__dataclass_fields__
]
CURVE_COLUMNS = [tables.curve.c[name] for name in CurvePoint.__dataclass_fields__]


def read_cell(row: Row[Any]) -> Cell:
    """A cell from a row that has its columns."""
    values = {name: row._mapping[name] for name in Cell.__dataclass_fields__}
    if row.params is not None:
        values["params"] = read_table(row.params, f"the stored parameters of trial {row.id}")
    values["metrics"] = {} if row.metrics is None else _numbers(row.metrics, "a trial")
    values["seconds"] = a_duration(row.seconds)
    values |= {"started": a_time(row.started), "finished": a_time(row.finished)}
    if not is_plausible(row.score):
        raise _changed(f"the stored score of trial {row.id}", "a possible number")
    return Cell(**values)


def cell_row(study_id: int, planned: PlannedCell) -> dict[str, Any]:
    """A planned cell as it is inserted."""
    return {
        "study_id": study_id,
        "arm": planned.arm,
        "phase": planned.phase,
        "slot": planned.slot,
        "seed": planned.seed,
        "params": None if planned.params is None else json.dumps(planned.params),
        "state": "planned",
    }


def curve_row(cell_id: int, evaluation: Evaluation) -> dict[str, Any]:
    """An epoch as it is inserted."""
    return {
        "cell_id": cell_id,
        "at": evaluation.at,
        "seconds": evaluation.seconds,
        "metrics": metrics_text(evaluation.metrics),
    }


def metrics_text(metrics: Mapping[str, float | None]) -> str:
    """Numbers by name as they are kept: JSON knows no number that is not finite."""
    return json.dumps({name: None if value is None else finite(value) for name, value in metrics.items()})


def read_curve_point(row: Row[Any]) -> CurvePoint:
    """An epoch from a row of `CURVE_COLUMNS`, by place and not by name: a report reads hundreds of thousands."""
    cell_id, at, seconds, metrics = tuple(row)
    return CurvePoint(cell_id, at, a_duration(seconds), _numbers(metrics, "an epoch"))


def _numbers(text: str, of: str) -> Mapping[str, float | None]:
    found = read_table(text, f"the stored data of {of}")
    for name, value in found.items():
        if not isinstance(value, int | float | None) or not is_plausible(value):
            raise _changed(f"the stored {shown(name)} of {of}", "a possible number")
    return {intern(name): value for name, value in found.items()}  # the same few names in millions of rows


def read_environment(text: str) -> Mapping[str, str]:
    """What a worker says of itself. What is no text is left out: one worker must not hide all the others."""
    try:
        found = read_table(text, "the stored data of a worker")
    except StorageError:
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def read_table(text: str, what: str) -> dict[str, Any]:
    """A JSON object; whoever may write to the database can put anything in its place.

    Raises:
        StorageError: it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # RecursionError: nested thousands deep
        found = None
    if not isinstance(found, dict):
        raise _changed(what, "a JSON object")
    return found


def _changed(what: str, allowed: str) -> StorageError:
    return StorageError(
        f"{what} is not {allowed}: another program has changed it", hint="restore it from a backup of the database"
    )


def finite(value: float) -> float | None:
    """The value as a database keeps it."""
    return value if math.isfinite(value) else None
