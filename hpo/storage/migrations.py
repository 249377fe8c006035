"""From the tables of an older version to those of this one, a step per version, written with alembic's operations.

A change of `tables` raises `tables.SCHEMA_VERSION` and adds the step that leads there. A golden file holds the tables
of every version, so that none changes without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, update

from hpo.storage import tables

STEPS: Mapping[int, Callable[[Operations], None]] = {}
"""Version -> what makes it from the version before."""


def migrate(connection: Connection, found: int) -> None:
    """Take the tables from version `found` to the present one, in the connection's transaction."""
    operations = Operations(MigrationContext.configure(connection))
    for version in range(found + 1, tables.SCHEMA_VERSION + 1):
        STEPS[version](operations)
    connection.execute(update(tables.version).values(version=tables.SCHEMA_VERSION))
