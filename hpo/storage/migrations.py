"""From the tables of an older version to those of this one, a step per version, written with alembic's operations.

A change of `tables` raises `tables.SCHEMA_VERSION` and adds the step that leads there. A golden file holds the tables
of every version, so that none changes without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
from hpo.storage.optuna_studies import MARK, mark, names_in
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


STEPS: Mapping[int, Callable[[Operations], None]] = {2: _forks, 3: _identities}
"""Version -> what makes it from the version before."""


def migrate(connection: Connection, found: int) -> None:
    """Take the tables from version `found` to the present one, in the connection's transaction."""
    operations = Operations(MigrationContext.configure(connection))
    for version in range(found + 1, tables.SCHEMA_VERSION + 1):
        STEPS[version](operations)
    connection.execute(update(tables.version).values(version=tables.SCHEMA_VERSION))
