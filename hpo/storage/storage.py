"""The only door to the database: `open_storage(url)` for a storage that exists, `create_storage(url)` to begin one.

One database holds our tables (`tables`, reached through the `ledger`) and Optuna's own (reached through `optuna`), so
optuna-dashboard, the `optuna` command and `optuna.load_study` work on it as on any other.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, insert, inspect, select, text
from sqlalchemy.engine import URL

from hpo.errors import StorageError
from hpo.storage import tables
from hpo.storage.connection.database import Database
from hpo.storage.connection.deadline import Deadlines
from hpo.storage.connection.engine import PrePing, begin_immediately, create_engine, explained
from hpo.storage.connection.retry import NEVER, Retry
from hpo.storage.connection.url import parse_url
from hpo.storage.ledger import Ledger
from hpo.storage.rows import new_identity
from hpo.storage.texts import check_encoding
from hpo.words.masking import masked

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

    from hpo.storage.optuna.storage import OptunaStorage

SCHEMA_LOCK = 0x68706F  # "hpo": the key of the advisory lock under which a schema is created


class Storage:
    """An open storage. `ledger` is ours, `optuna` is Optuna's view of the same database and the same connections.

    Each call to it is tried again as `retry` says, and may take `deadline()` seconds, if that is given.
    """

    def __init__(self, url: URL, retry: Retry = NEVER, deadline: Callable[[], float] | None = None) -> None:
        self.url = url
        self.pre_ping = PrePing()
        settings = {} if deadline is None else {"lock_timeout": f"{deadline():.0f}s"}
        self.engine: Engine = create_engine(url, self.pre_ping, settings)
        self.database = Database(self.engine, retry)
        self.ledger = Ledger(self.database)
        on_postgres = url.drivername != "sqlite"
        self._file = _identity(url)
        self._deadlines = Deadlines(self.engine, deadline) if deadline is not None and on_postgres else None

    def __str__(self) -> str:
        return masked(self.url)

    @cached_property
    def optuna(self) -> OptunaStorage:
        """Optuna's storage, keeping finished trials in memory; imported only when something needs it."""
        from hpo.storage.optuna.storage import OptunaStorage

        self.database.retry(lambda: _check_optunas_tables(self))
        rdb = self.database.retry(lambda: _optuna_storage(self, skip_table_creation=True))
        return OptunaStorage(self.database, rdb)

    def ledger_without_retry(self) -> Ledger:
        """The ledger for a loop of its own, which must learn at once that the database is away."""
        return Ledger(self.database.without_retry())

    def ledger_within(self, seconds: float) -> Ledger:
        """The ledger, each of whose calls is tried again for at most `seconds`."""
        return Ledger(self.database.within(seconds))

    def check_file(self) -> None:
        """See that the file of an SQLite storage is still the one that was opened.

        Raises:
            StorageError: it was removed or replaced; what is written now would be lost.
        """
        found = _identity(self.url)
        self._file = self._file or found  # it may have been made after it was opened
        if self._file != found:
            raise StorageError(f"{self}: the file was removed or replaced during use")

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()
        if self._deadlines is not None:
            self._deadlines.close()


def _identity(url: URL) -> tuple[int, int] | None:
    """Device and inode of an SQLite storage's file."""
    if url.drivername != "sqlite" or not Path(str(url.database)).exists():
        return None
    stat = Path(str(url.database)).stat()
    return stat.st_dev, stat.st_ino


def open_storage(url: str, retry: Retry = NEVER, deadline: Callable[[], float] | None = None) -> Storage:
    """Open a storage that exists.

    Raises:
        StorageError: it can't be used as it is: no such database, a wrong password, no studies, made by a newer hpo.
        HpoError: it can't be reached.
    """
    storage = Storage(parse_url(url), retry, deadline)
    if storage.url.drivername == "sqlite" and not Path(str(storage.url.database)).exists():
        raise StorageError(f"{storage}: there is no such file", hint="create it with: hpo launch-study FILE")
    with explained(storage.url):
        found = retry(lambda: _schema_version(storage.engine))
    if found is None:
        raise StorageError(f"{storage}: this database holds no studies yet", hint="launch one: hpo launch-study FILE")
    _check_version(found, storage)
    return storage


def create_storage(url: str, retry: Retry = NEVER, deadline: Callable[[], float] | None = None) -> Storage:
    """Open a storage, with tables made if there are none; any number of processes may do so at once.

    Raises:
        StorageError: it can't be used as it is: a wrong password, no right to make tables, another version's tables.
        HpoError: it can't be reached.
    """
    storage = Storage(parse_url(url), retry, deadline)
    with explained(storage.url):
        found = retry(lambda: _schema_version(storage.engine))
        retry(lambda: _check_optunas_tables(storage))
        if found is None:
            retry(lambda: _create_if_missing(storage))
            found = tables.SCHEMA_VERSION
    _check_version(found, storage)
    return storage


def migrate_storage(url: str) -> Storage:
    """Open a storage, with tables of an older version taken to this one, or made if there are none.

    Raises:
        StorageError, HpoError: as `create_storage`.
    """
    storage = Storage(parse_url(url))
    with explained(storage.url), _schema_lock(storage):
        found = _schema_version(storage.engine)
        if found is None:
            _create_schema(storage)
        elif found < tables.SCHEMA_VERSION:
            from hpo.storage.migrations import migrate  # alembic is slow to import and seldom needed

            with storage.engine.begin() as connection:
                migrate(connection, found)
    if found is not None and found > tables.SCHEMA_VERSION:
        _check_version(found, storage)
    return storage


def _create_if_missing(storage: Storage) -> None:
    with _schema_lock(storage):
        if _schema_version(storage.engine) is None:  # else another process was first
            _create_schema(storage)


def _check_version(found: int, storage: Storage) -> None:
    if found > tables.SCHEMA_VERSION:
        raise StorageError(
            f"{storage}: its tables have version {found}; this hpo knows versions up to {tables.SCHEMA_VERSION}",
            hint="install the version of hpo that the other nodes use",
        )
    if found < tables.SCHEMA_VERSION:
        raise StorageError(
            f"{storage}: its tables have version {found}; this hpo uses version {tables.SCHEMA_VERSION}",
            hint="stop the workers of the older hpo, then: hpo migrate",
        )


def _schema_version(engine: Engine) -> int | None:
    with engine.connect() as connection:
        check_encoding(connection)
        if not inspect(connection).has_table(tables.version.name):
            return None
        version: int | None = connection.execute(select(tables.version.c.version)).scalar()
        return version


@contextmanager
def _schema_lock(storage: Storage) -> Iterator[None]:
    """One process at a time: creating Optuna's tables from two at once fails in one of them."""
    if storage.url.drivername == "sqlite":
        with Path(f"{storage.url.database}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
            return
    with storage.engine.connect() as connection:
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": SCHEMA_LOCK})
        try:
            yield
        finally:
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": SCHEMA_LOCK})


def _create_schema(storage: Storage) -> None:
    _optuna_storage(storage, skip_table_creation=False)
    with storage.engine.begin() as connection:
        tables.metadata.create_all(connection)
        connection.execute(insert(tables.version).values(version=tables.SCHEMA_VERSION, database=new_identity()))


def _check_optunas_tables(storage: Storage) -> None:
    from hpo.storage.optuna.revision import check_revision

    with storage.engine.connect() as connection:
        check_revision(connection)


def _optuna_storage(storage: Storage, skip_table_creation: bool) -> RDBStorage:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rdb = optuna.storages.RDBStorage(
        storage.url.render_as_string(hide_password=False),
        engine_kwargs={"pool": storage.engine.pool},
        skip_table_creation=skip_table_creation,
        skip_compatibility_check=True,
    )
    if storage.url.drivername == "sqlite":
        begin_immediately(rdb.engine)
    return rdb
