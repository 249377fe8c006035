"""The way from a storage URL to a database engine, and from a database's complaint to a message without a password."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import sqlalchemy
from sqlalchemy import String, event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import InvalidatePoolError, NoSuchModuleError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from hpo.errors import StorageError
from hpo.storage.connection.sqlstate import describe, is_database_error
from hpo.storage.connection.url import connection_defaults

AUTOCOMMIT = "hpo_autocommit"
USED = "hpo_used"

SETTINGS = {
    # A worker that is paused within a transaction, as by a suspended machine, would keep its row locks for ever.
    "idle_in_transaction_session_timeout": "60s",
    # Statements that follow a lock must see what was committed until it was had, whatever the role's default is.
    "default_transaction_isolation": "read committed",
}
"""Settings of every session."""


@dataclass(slots=True)
class PrePing:
    """When a connection to Postgres is tested before it is used, which takes a message to the server and back."""

    after_seconds: float = 0.0
    """When it has not been used for so long."""


def create_engine(url: URL, pre_ping: PrePing, settings: Mapping[str, str] = MappingProxyType({})) -> Engine:
    """An engine with a small pool. `autocommit` gives the same connections without transactions around statements.

    `settings` are made for each connection to Postgres, beside those that all have.
    """
    if url.drivername == "sqlite":
        engine = sqlalchemy.create_engine(url, connect_args={"timeout": 60.0})
        event.listen(engine, "connect", _prepare_sqlite)
        begin_immediately(engine)
        return engine
    defaults = connection_defaults(url, os.environ)
    engine = sqlalchemy.create_engine(url, pool_size=2, max_overflow=2, connect_args=defaults)
    event.listen(engine, "connect", _preparing_postgres(SETTINGS | dict(settings)))
    _test_connections(engine, pre_ping)

    # The driver keeps this to itself. By SQLAlchemy's own option it would be a statement each time.
    @event.listens_for(engine, "engine_connect")
    def commit_each_statement(connection: sqlalchemy.Connection) -> None:
        if connection.get_execution_options().get(AUTOCOMMIT, False):
            driver: Any = connection.connection.dbapi_connection
            driver.autocommit = True

    @event.listens_for(engine, "checkin")
    def statements_in_transactions(driver: Any, record: Any) -> None:
        if driver is not None and not driver.closed:
            driver.autocommit = False

    return engine


@lru_cache(maxsize=16)
def autocommit(engine: Engine) -> Engine:
    """Return the same connections, each statement a transaction of its own: one message instead of three."""
    return engine.execution_options(**{AUTOCOMMIT: True})


class synchronous_commit_off(FunctionElement[str]):  # noqa: N801 (an SQL function, named as SQL names it)
    """Let a statement on Postgres be acknowledged before it is on disk: it does not wait for the disk. For what does no
    harm if the server forgets it."""

    type = String()
    inherit_cache = True


@compiles(synchronous_commit_off, "postgresql")
def _synchronous_commit_off_postgresql(element: synchronous_commit_off, compiler: Any, **options: Any) -> str:
    return "set_config('synchronous_commit', 'off', true)"


@compiles(synchronous_commit_off, "sqlite")
def _synchronous_commit_off_sqlite(element: synchronous_commit_off, compiler: Any, **options: Any) -> str:
    return "''"


def _test_connections(engine: Engine, pre_ping: PrePing) -> None:
    @event.listens_for(engine, "checkin")
    def note(driver: Any, record: Any) -> None:
        record.info[USED] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def test(driver: Any, record: Any, proxy: Any) -> None:
        used = record.info.get(USED)  # a new one has not been
        if used is None or time.monotonic() - used < pre_ping.after_seconds:
            return
        try:
            engine.dialect.do_ping(driver)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _preparing_postgres(settings: Mapping[str, str]) -> Callable[[Any, Any], None]:
    statements = "; ".join(f"set {name} = '{value}'" for name, value in settings.items())

    def prepare(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statements)
        connection.commit()

    return prepare


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own accord
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def begin_immediately(engine: Engine) -> None:
    """Let every transaction of an SQLite engine take the write lock at its beginning, and wait for it there.

    A deferred one that reads first and writes later fails at once when another process has written in between,
    whatever the timeout.
    """

    @event.listens_for(engine, "begin")
    def begin(connection: sqlalchemy.Connection) -> None:
        if not connection.get_execution_options().get(AUTOCOMMIT, False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turns the database's errors on a first contact into ours, which say what to do."""
    try:
        yield
    except NoSuchModuleError as error:
        raise StorageError(str(error)) from None
    except Exception as error:
        if not is_database_error(error):
            raise
        raise describe(error, url) from None
