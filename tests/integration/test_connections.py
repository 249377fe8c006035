"""Connections to Postgres: tested before use where it matters, and alone statements among those in transactions."""

from __future__ import annotations

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from hpo.storage import Storage
from hpo.storage.connection.engine import autocommit
from tests.integration.helpers import wait_until

OTHERS = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


def cut(storage: Storage) -> None:
    """End the connections in the storage's pool, and see them gone."""
    engine = create_engine(storage.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"select pg_terminate_backend(pid) {OTHERS}"))
        wait_until(lambda: connection.scalar(text(f"select count(*) {OTHERS}")) == 0)


def test_a_connection_that_was_cut(storage: Storage) -> None:
    """Nobody notices, unless it was used just before and its user has said that it repeats what fails."""
    assert [] == storage.ledger.studies()
    cut(storage)
    assert [] == storage.ledger.studies()
    storage.pre_ping.after_seconds = 3600.0
    cut(storage)
    with pytest.raises(OperationalError):
        storage.ledger.studies()
    assert [] == storage.ledger.studies()


def test_statements_alone_and_in_transactions(storage: Storage) -> None:
    """They share connections: a statement alone is kept at once, one in a transaction that fails is not."""
    write = text("create table kept_alone (x int)")
    with autocommit(storage.engine).connect() as connection:
        connection.execute(write)
        connection.rollback()
    with storage.engine.connect() as connection:
        connection.execute(text("drop table kept_alone"))
        connection.rollback()
    with autocommit(storage.engine).connect() as connection:
        assert 0 == connection.scalar(text("select count(*) from kept_alone"))
