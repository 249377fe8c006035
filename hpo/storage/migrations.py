"""The steps from the tables of an older version to those of this one, a step per version, written with alembic's
operations.

A change of `tables` raises `tables.SCHEMA_VERSION` and adds the step that leads there. A golden file holds the tables
of every version, so that none changes without one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Text,
    inspect,
    select,
    text,
    update,
)

from hpo.storage import tables
from hpo.storage.optuna.studies import MARK, mark, names_in
from hpo.storage.rows import new_identity
from hpo.storage.tables import study


def _forks(operations: Operations) -> None:
    operations.add_column("hpo_cell", Column("leader", Integer))
    operations.add_column("hpo_cell", Column("leader_epochs", Integer))
    operations.create_table(
        "hpo_fork",
        Column("cell_id", Integer, ForeignKey("hpo_cell.id", ondelete="CASCADE"), primary_key=True),
        Column("epoch", Integer, primary_key=True),
        Column("content", LargeBinary, nullable=False),
    )


def _identities(operations: Operations) -> None:
    operations.add_column("hpo_version", Column("database", String(32)))
    operations.add_column("hpo_study", Column("uuid", String(32)))
    operations.add_column("hpo_study", Column("reason", Text))
    operations.add_column("hpo_cell", Column("lease_seconds", Float))
    operations.add_column("hpo_cell", Column("failed_by", String(32)))
    operations.add_column("hpo_cell", Column("reason", Text))
    operations.add_column("hpo_worker", Column("reason", Text))
    operations.create_table(
        "hpo_part",
        Column("cell_id", Integer, ForeignKey("hpo_cell.id", ondelete="CASCADE"), primary_key=True),
        Column("name", String(32), primary_key=True),
        Column("number", Integer, primary_key=True),
        Column("content", LargeBinary, nullable=False),
    )
    operations.drop_index("hpo_cell_open", "hpo_cell")
    some = text("state IN ('planned', 'leased')")
    operations.create_index(
        "hpo_cell_open_of_study", "hpo_cell", ["study_id", "id"], postgresql_where=some, sqlite_where=some
    )
    operations.create_index("hpo_cell_finished", "hpo_cell", ["study_id", "finished"])
    connection = operations.get_bind()
    connection.execute(update(tables.version).values(database=new_identity()))
    for study_id, name, spec in connection.execute(select(study.c.id, study.c.name, study.c.spec)).all():
        uuid = new_identity()
        connection.execute(update(study).where(study.c.id == study_id).values(uuid=uuid))
        _mark_optuna_studies(connection, names_in(name, spec), uuid)


def _mark_optuna_studies(connection: Connection, names: Sequence[str], uuid: str) -> None:
    """Those that were made before they were marked."""
    if not inspect(connection).has_table("study_user_attributes"):
        return
    unmarked = text(
        """
        insert into study_user_attributes (study_id, key, value_json)
        select study_id, :key, :mark from studies
        where study_name = :name and not exists (
            select 1 from study_user_attributes marked where marked.study_id = studies.study_id and marked.key = :key
        )"""
    )
    for name in names:
        connection.execute(unmarked, {"name": name, "key": MARK, "mark": mark(uuid)})


_CELL_METRICS = ("validation_loss", "validation_accuracy", "test_loss", "test_accuracy")
_EPOCH_METRICS = ("step", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr")
_EPOCH_TRACES = ("strengths", "gradient_norms", "images_per_second")
_CELLS_AT_ONCE = 500


def _metrics_by_name(operations: Operations) -> None:
    """One column of numbers by name in place of one column for each number."""
    operations.add_column("hpo_cell", Column("metrics", Text))
    operations.add_column("hpo_curve", Column("metrics", Text, nullable=False, server_default="{}"))
    connection = operations.get_bind()
    _fill(connection, "hpo_cell", ("id",), _CELL_METRICS, _of_a_cell, "and ended is not null")
    _fill(connection, "hpo_curve", ("cell_id", "epoch"), (*_EPOCH_METRICS, *_EPOCH_TRACES), _of_an_epoch)
    # Without copies of the tables: dropping the original of one would take with it what refers to it.
    for name in _CELL_METRICS:
        operations.drop_column("hpo_cell", name)
    for name in (*_EPOCH_METRICS, *_EPOCH_TRACES):
        operations.drop_column("hpo_curve", name)
    for name in ("hpo_curve", "hpo_fork"):
        operations.execute(f"alter table {name} rename column epoch to at")
    if connection.dialect.name == "postgresql":  # SQLite can't, and needs none
        operations.alter_column("hpo_curve", "metrics", server_default=None)


def _of_a_cell(row: Mapping[Any, Any]) -> dict[str, float | None]:
    return {name: row[name] for name in _CELL_METRICS if row[name] is not None}


def _of_an_epoch(row: Mapping[Any, Any]) -> dict[str, float | None]:
    measured = {name: row[name] for name in _EPOCH_METRICS}
    strengths = {f"strength.{name}": value for name, value in json.loads(row["strengths"]).items()}
    norms = {f"gradient_norm.{name}": value for name, value in json.loads(row["gradient_norms"]).items()}
    return measured | strengths | norms | {"images_per_second": row["images_per_second"]}


def _fill(
    connection: Connection,
    table: str,
    key: Sequence[str],
    names: Sequence[str],
    metrics: Callable[[Mapping[Any, Any]], dict[str, float | None]],
    condition: str = "",
) -> None:
    """Write the metrics of every row of a table, those of some hundred cells at a time."""
    cell = key[0]
    some = text(f"select {', '.join((*key, *names))} from {table} where {cell} >= :begin and {cell} < :end {condition}")
    write = text(f"update {table} set metrics = :metrics where {' and '.join(f'{name} = :{name}' for name in key)}")
    first, last = connection.execute(
        text(f"select coalesce(min({cell}), 0), coalesce(max({cell}), -1) from {table}")
    ).one()
    for begin in range(first, last + 1, _CELLS_AT_ONCE):
        rows = connection.execute(some, {"begin": begin, "end": begin + _CELLS_AT_ONCE}).mappings().all()
        filled = [{name: row[name] for name in key} | {"metrics": json.dumps(metrics(row))} for row in rows]
        if filled:
            connection.execute(write, filled)


def _rehearsals(operations: Operations) -> None:
    operations.add_column("hpo_study", Column("rehearsal", Text))


def _planning(operations: Operations) -> None:
    operations.create_table(
        "hpo_planning",
        Column("study_id", Integer, ForeignKey("hpo_study.id", ondelete="CASCADE"), primary_key=True),
        Column("ended", Float),
        Column("at", Float, nullable=False),
    )


STEPS: Mapping[int, Callable[[Operations], None]] = {
    2: _forks,
    3: _identities,
    4: _metrics_by_name,
    5: _rehearsals,
    6: _planning,
}
"""Version -> what makes it from the version before."""


def migrate(connection: Connection, found: int) -> None:
    """Take the tables from version `found` to the present one, in the connection's transaction."""
    operations = Operations(MigrationContext.configure(connection))
    for version in range(found + 1, tables.SCHEMA_VERSION + 1):
        STEPS[version](operations)
    connection.execute(update(tables.version).values(version=tables.SCHEMA_VERSION))
