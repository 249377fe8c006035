"""Calls to the database, each of which is tried again while the database is away: the storage's inner door.

Whoever reads or writes hands over what is to be done with a connection. It may be done twice, if an answer was lost,
so it must be safe to repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine

from hpo.storage.connection.engine import autocommit
from hpo.storage.connection.retry import NEVER, Retry

Result = TypeVar("Result")


class Database:
    """An engine, and how long a call to it is repeated."""

    def __init__(self, engine: Engine, retry: Retry = NEVER) -> None:
        self.engine = engine
        self.retry = retry
        self._autocommit = autocommit(engine)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work`, each statement a transaction of its own; also for a single statement that writes."""
        return self.retry(lambda: self._read(work))

    def transaction(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in one transaction: all of it, or nothing."""
        return self.retry(lambda: self._transaction(work))

    def within(self, seconds: float) -> Database:
        """Return the same connections; what fails is tried again for at most `seconds`."""
        return Database(self.engine, self.retry.within(seconds))

    def without_retry(self) -> Database:
        """Return the same connections; what fails, fails at once."""
        return Database(self.engine)

    def _read(self, work: Callable[[Connection], Result]) -> Result:
        with self._autocommit.connect() as connection:
            return work(connection)

    def _transaction(self, work: Callable[[Connection], Result]) -> Result:
        with self.engine.begin() as connection:
            return work(connection)
