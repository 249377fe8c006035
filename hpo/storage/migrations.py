"""From the tables of an older version to those of this one, a step per version, written with alembic's operations.

A change of `tables` raises `tables.SCHEMA_VERSION` and adds the step that leads there. A golden file holds the tables
of every version, so that none changes without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, Connection, ForeignKey, Integer, LargeBinary, update

from hpo.storage import tables


def _forks(operations: Operations) -> None:
    operations.add_column("hpo_cell", Column("leader", Integer))
    operations.add_column("hpo_cell", Column("leader_epochs", Integer))
    operations.create_table(
        "hpo_fork",
        Column("cell_id", Integer, ForeignKey("hpo_cell.id", ondelete="CASCADE"), primary_key=True),
        Column("epoch", Integer, primary_key=True),
        Column("content", LargeBinary, nullable=False),
    )


STEPS: Mapping[int, Callable[[Operations], None]] = {2: _forks}
"""Version -> what makes it from the version before."""


def migrate(connection: Connection, found: int) -> None:
    """Take the tables from version `found` to the present one, in the connection's transaction."""
    operations = Operations(MigrationContext.configure(connection))
    for version in range(found + 1, tables.SCHEMA_VERSION + 1):
        STEPS[version](operations)
    connection.execute(update(tables.version).values(version=tables.SCHEMA_VERSION))
