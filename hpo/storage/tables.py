"""Our tables, beside Optuna's in the same database. Times are seconds since 1970 by the database's own clock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from hpo.storage.states import OPEN

SCHEMA_VERSION = 6

metadata = MetaData()

version = Table(
    "hpo_version",
    metadata,
    Column("version", Integer, nullable=False),
    Column("database", String(32)),  # this database's own name among all there are: files elsewhere carry it
)

study = Table(
    "hpo_study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uuid", String(32)),  # never given again, as an id is by SQLite: by it a study is known for longer
    Column("name", String(64), nullable=False, unique=True),
    Column("spec", Text, nullable=False),  # JSON of hpo.study.StudySpec
    Column("rehearsal", Text),  # JSON of hpo.study.rehearsed.Rehearsal, if its trial was rehearsed before the launch
    Column("state", String(16), nullable=False),  # running, stopped, failed, finished
    Column("reason", Text),  # why it failed
    Column("data", String(64)),  # fingerprint of the images, by the first worker
    Column("hpo_version", String(32), nullable=False),
    Column("created", Float, nullable=False),
    sqlite_autoincrement=True,
)

cell = Table(
    "hpo_cell",
    metadata,
    Column("id", Integer, primary_key=True),  # also the order in which cells are claimed
    Column("study_id", ForeignKey("hpo_study.id", ondelete="CASCADE"), nullable=False),
    Column("arm", String(64), nullable=False),
    Column("phase", String(16), nullable=False),  # search, confirm
    Column("slot", Integer, nullable=False),  # grid point, proposal, or rank in the confirm phase
    Column("seed", Integer, nullable=False),
    Column("params", Text),  # JSON; null until the sampler has proposed
    # planned -> leased -> done or failed; a lease that runs out may be claimed again. withdrawn: see replan
    Column("state", String(16), nullable=False),
    Column("token", String(32)),
    Column("worker", String(32)),
    Column("lease_until", Float),
    Column("lease_seconds", Float),  # its length: no clock that was set back makes it longer
    Column("attempts", Integer, nullable=False, default=0),  # claims since the last epoch of progress
    Column("failed_by", String(32)),  # the first worker on which it has failed since
    Column("claims", Integer, nullable=False, default=0),
    # Another cell whose first epochs are this one's too, and how many: waited for while planned, gone on from later
    Column("leader", Integer),
    Column("leader_epochs", Integer),
    Column("trial_id", Integer),  # Optuna's
    Column("trial_number", Integer),
    Column("epochs", Integer, nullable=False, default=0),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("ended", String(16)),  # finished, pruned, diverged
    Column("score", Float),  # what it is judged by; null: it diverged, and its metric has no worst value
    Column("metrics", Text),  # JSON: name -> number, after its end; those of test in the confirm phase alone
    Column("error", Text),  # why the last attempt failed, with its traceback
    Column("reason", Text),  # the same in a line
    Column("started", Float),
    Column("finished", Float),
    UniqueConstraint("study_id", "arm", "phase", "slot", "seed"),
    sqlite_autoincrement=True,
)
# Its words are written into statements, not bound: SQLite takes an index over a part for what names that part alike.
open_cells = cell.c.state.in_(bindparam("open_states", OPEN, expanding=True, literal_execute=True))

# Few are open of all there ever were: a claim finds the first of a study, whatever else is in the storage.
Index("hpo_cell_open_of_study", cell.c.study_id, cell.c.id, postgresql_where=open_cells, sqlite_where=open_cells)
# By it an idle worker sees whether anything has ended since it looked last.
Index("hpo_cell_finished", cell.c.study_id, cell.c.finished)

curve = Table(
    "hpo_curve",
    metadata,
    Column("cell_id", ForeignKey("hpo_cell.id", ondelete="CASCADE"), primary_key=True),
    Column("at", Integer, primary_key=True),  # epochs done
    Column("seconds", Float, nullable=False),
    Column("metrics", Text, nullable=False),  # JSON: name -> number, or null if it is not finite
)

planning = Table(
    "hpo_planning",  # that one of many idle workers has looked what follows; apart from the studies, which all read
    metadata,
    Column("study_id", ForeignKey("hpo_study.id", ondelete="CASCADE"), primary_key=True),
    Column("ended", Float),  # when the last of the cells had ended that were looked at
    Column("at", Float, nullable=False),
)

checkpoint = Table(
    "hpo_checkpoint",
    metadata,
    Column("cell_id", ForeignKey("hpo_cell.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),  # itself if it is small, else where it is: see checkpoints
    Column("saved", Float, nullable=False),
)

fork = Table(
    "hpo_fork",  # checkpoints at ends of epochs from which other cells go on; until the study is done
    metadata,
    Column("cell_id", ForeignKey("hpo_cell.id", ondelete="CASCADE"), primary_key=True),
    Column("at", Integer, primary_key=True),  # epochs done
    Column("content", LargeBinary, nullable=False),
)

part = Table(
    "hpo_part",  # a large checkpoint, cut up: no statement, no message and no line of a log is as large as it is
    metadata,
    Column("cell_id", ForeignKey("hpo_cell.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(32), primary_key=True),  # of the checkpoint
    Column("number", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

worker = Table(
    "hpo_worker",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("device", String(255), nullable=False),
    Column("environment", Text, nullable=False),  # JSON: versions, threads
    Column("started", Float, nullable=False),
    Column("seen", Float, nullable=False),
    Column("ended", Float),
    Column("reason", Text),  # what it can't do here, or why it ended
)


class now(FunctionElement[float]):  # noqa: N801 (an SQL function, named as SQL names it)
    """The database's clock: no worker's own clock decides whether a lease has run out."""

    type = Float()
    inherit_cache = True


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: Any, **options: Any) -> str:
    return "extract(epoch from clock_timestamp())::float8"


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"
