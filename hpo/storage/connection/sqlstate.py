"""What a database's complaint means: does it pass, can a person mend it, or is it ours?

It is told by the SQLSTATE that Postgres sends, by the code that SQLite gives, and never by Python's class of the
exception: a server that is read-only for a moment, as in a failover, raises an InternalError there, and a wrong
password an OperationalError. Appendix A of the Postgres manual lists the codes; their first two characters are a class.

A failed attempt to connect has no SQLSTATE, for libpq hands over its text alone. Such an error passes, unless the text
says that somebody has to mend it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from sqlalchemy import exc
from sqlalchemy.engine import URL

from hpo.errors import HpoError, StorageError
from hpo.words.masking import masked

#: Classes and codes of what passes. The longest prefix of a code that stands here or in `_MEND` decides.
_PASSES = frozenset(
    {
        "08",  # the connection
        "25006",  # the server is read-only: a standby that is not promoted yet, a disk that is nearly full
        "25P02",  # what follows an error within a transaction
        "25P03",  # the transaction was idle for too long: this process was suspended
        "25P04",
        "40",  # a serialization failure, a deadlock
        "53",  # no room: disk, memory, connections
        "55006",
        "55P03",  # a lock that is not to be had now
        "57",  # an operator, a shutdown, a start
        "58",  # the server's operating system
        "72000",  # the snapshot is too old
        "XX",  # internal
    }
)
CANCELED = "57014"
"""The server ended a statement, nearly always since it took longer than `statement_timeout`."""
FULL = "53100"
"""No room on the server's disk."""


@dataclass(frozen=True, slots=True)
class _Remedy:
    """What a person can do about it."""

    hint: str


_MEND = {
    "28": _Remedy(
        "check the user and the password; PGPASSWORD or a password file (PGPASSFILE) keeps it out of the URL"
    ),
    "3D000": _Remedy("create the database first, for example: createdb {database}"),
    "3F000": _Remedy("create the schema that search_path names, or set search_path to another one"),
    "42501": _Remedy(
        "the role lacks a privilege; for the role that creates the tables: grant create on schema public to ROLE"
    ),
    "42P01": _Remedy("a table is missing: hpo migrate creates it and keeps all data"),
    "42703": _Remedy("a column is missing, perhaps since the tables are of another version; update them: hpo migrate"),
}

#: What libpq says, in English, when no server could be asked for a code.
_CONNECTING = {
    "password authentication failed": "28",
    "no password supplied": "28",
    "no pg_hba.conf entry": "28",
    "authentication failed": "28",
    "certificate": "28",
    "server does not support SSL": "28",
    "permission denied for database": "42501",
    "role": "28",
    "database": "3D000",
}
_MISSING = "does not exist"

_SQLITE_PASSES = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_PROTOCOL", "SQLITE_NOMEM")
_SQLITE_MEND = {
    "SQLITE_CANTOPEN": "give a file in a folder that exists and that you may write to",
    "SQLITE_READONLY": "give a file and a folder that you may write to",
    "SQLITE_NOTADB": "this file is not an SQLite database; give another one",
    "SQLITE_CORRUPT": "the file is damaged; restore it from a backup",
}


def sqlstate(error: BaseException) -> str | None:
    """The code that the server has sent with it, if there was one."""
    return getattr(_origin(error), "pgcode", None)


def passes(error: BaseException) -> bool:
    """Whether it is worth trying again: the database is away, or busy, and will be back."""
    if not is_database_error(error) or _remedy(error) is not None:
        return False
    origin, code = _origin(error), sqlstate(error)
    if isinstance(origin, sqlite3.Error):
        return _sqlite_name(origin).startswith(_SQLITE_PASSES)
    if code is not None:
        return any(code.startswith(prefix) for prefix in _PASSES)
    # Without a code it is the connection that failed, or the driver lost track of it, unless the driver refused to
    # send what it was given.
    return not isinstance(error, exc.ProgrammingError | exc.DataError | exc.IntegrityError | exc.NotSupportedError)


def is_database_error(error: BaseException) -> bool:
    """Whether the database, its driver, or the pool of connections raised it; Optuna wraps some of it."""
    if _is_optunas(error):
        return error.__cause__ is not None and is_database_error(error.__cause__)
    return isinstance(error, exc.DBAPIError | exc.PendingRollbackError | exc.TimeoutError)


def reason(error: BaseException) -> str:
    """What the database said, in one line, without the statement and its values."""
    origin = _origin(error)
    lines = str(origin).strip().splitlines()
    return lines[0].strip() if lines else type(origin).__name__


def describe(error: BaseException, url: URL) -> HpoError:
    """Describe it as one of our errors: exit code 2 if a person must mend it, else 1. Names the storage by its URL."""
    where, hint = masked(url), _remedy(error)
    if hint is not None:
        return StorageError(f"{where}: {reason(error)}", hint=hint.format(database=url.database))
    if passes(error):
        again = "the database can't be reached, is starting or is busy: check host and port, and try again"
        return HpoError(f"{where}: {reason(error)}", hint=again)
    return HpoError(f"{where}: {reason(error)}")


def _remedy(error: BaseException) -> str | None:
    origin, code = _origin(error), sqlstate(error)
    if isinstance(origin, sqlite3.Error):
        name = _sqlite_name(origin)
        if "no such table" in str(origin) or "no such column" in str(origin):
            return _MEND["42P01"].hint
        return next((hint for known, hint in _SQLITE_MEND.items() if name.startswith(known)), None)
    if code is None:
        code = _code_of_text(str(origin)) if isinstance(error, exc.DBAPIError) else None
    if code is None:
        return None
    return next((remedy.hint for prefix, remedy in _MEND.items() if code.startswith(prefix)), None)


def _code_of_text(text: str) -> str | None:
    for words, code in _CONNECTING.items():
        needs_missing = words in ("role", "database")
        if words in text and (not needs_missing or _MISSING in text):
            return code
    return None


def _sqlite_name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "")


def _origin(error: BaseException) -> BaseException:
    """The driver's own exception, out of SQLAlchemy's and Optuna's."""
    while True:
        below = error.__cause__ if _is_optunas(error) else getattr(error, "orig", None)
        if below is None:
            return error
        error = below


def _is_optunas(error: BaseException) -> bool:
    # By its name: most of our commands never import Optuna, which takes a second.
    return type(error).__name__ == "StorageInternalError"
