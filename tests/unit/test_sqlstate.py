"""What a database's complaint means, for each kind of it."""

from __future__ import annotations

import sqlite3

import psycopg2
import pytest
from optuna.exceptions import StorageInternalError
from psycopg2 import errors
from sqlalchemy import exc
from sqlalchemy.engine import make_url

from hpo.errors import HpoError, StorageError
from hpo.storage.connection.sqlstate import describe, passes, reason

URL = make_url("postgresql+psycopg2://me:secret@host/studies")


def wrapped(origin: Exception) -> exc.DBAPIError:
    """As SQLAlchemy raises it."""
    kinds = {
        psycopg2.OperationalError: exc.OperationalError,
        psycopg2.InternalError: exc.InternalError,
        psycopg2.ProgrammingError: exc.ProgrammingError,
        psycopg2.DataError: exc.DataError,
        psycopg2.IntegrityError: exc.IntegrityError,
        psycopg2.InterfaceError: exc.InterfaceError,
    }
    for kind, ours in kinds.items():
        if isinstance(origin, kind):
            return ours("a statement", {}, origin)
    return exc.DatabaseError("a statement", {}, origin)


def sent(code: str, text: str = "said") -> exc.DBAPIError:
    """An error that the server has sent with a code."""
    kind = errors.lookup(code)

    class WithCode(kind):  # type: ignore[misc, valid-type]
        pgcode = code

    return wrapped(WithCode(text))


@pytest.mark.parametrize(
    "code",
    [
        "08006",  # connection failure
        "25006",  # read-only
        "25P03",  # idle in transaction for too long
        "40001",
        "40P01",
        "53100",  # disk full
        "53200",
        "53300",  # too many connections
        "55P03",
        "57014",  # canceled: a few times
        "57P01",
        "57P02",
        "57P03",
        "58030",
        "XX000",
    ],
)
def test_what_passes(code: str) -> None:
    """It is tried again, and is never called a thing that a person must mend."""
    error = sent(code)
    assert passes(error)
    assert 1 == describe(error, URL).exit_code


@pytest.mark.parametrize("code", ["28P01", "28000", "3D000", "42501", "42P01", "42703"])
def test_what_a_person_must_mend(code: str) -> None:
    """It is not tried again: exit code 2, what the server said, and what to do."""
    error = sent(code, "the server's words\nCONTEXT: more")
    assert not passes(error)
    told = describe(error, URL)
    assert isinstance(told, StorageError)
    assert "postgresql+psycopg2://me:***@host/studies: the server's words" == str(told)
    assert told.hint


@pytest.mark.parametrize("code", ["22003", "22P05", "23503", "23505", "42601"])
def test_what_is_ours(code: str) -> None:
    """Neither: trying again would not help, and there is nothing that a person could mend."""
    error = sent(code)
    assert not passes(error)
    assert 1 == describe(error, URL).exit_code


@pytest.mark.parametrize(
    ("text", "lasting"),
    [
        ('connection to server at "h" failed: Connection refused\n\tIs the server running?', False),
        ('could not translate host name "h" to address: Temporary failure in name resolution', False),
        ("server closed the connection unexpectedly", False),
        ("SSL SYSCALL error: EOF detected", False),
        ('FATAL:  password authentication failed for user "me"', True),
        ("fe_sendauth: no password supplied", True),
        ('FATAL:  database "studies" does not exist', True),
        ('FATAL:  role "me" does not exist', True),
        ('FATAL:  no pg_hba.conf entry for host "h"', True),
        ("SSL error: certificate verify failed", True),
        ("FATAL:  sorry, too many clients already", False),
        ("FATAL:  the database system is starting up", False),
        ("FATAL:  the database system is shutting down", False),
    ],
)
def test_an_attempt_to_connect(text: str, lasting: bool) -> None:
    """libpq hands over no code: what it says decides, and what it does not know passes."""
    error = wrapped(psycopg2.OperationalError(text))
    assert lasting is not passes(error)
    assert (2 if lasting else 1) == describe(error, URL).exit_code


def test_what_the_driver_raises_without_a_code() -> None:
    """A lost connection is one, whatever the driver calls it; what the driver refuses to send is not."""
    assert passes(wrapped(psycopg2.InterfaceError("connection already closed")))
    assert passes(wrapped(psycopg2.DatabaseError("error with status PGRES_TUPLES_OK and no message from the libpq")))
    assert passes(exc.PendingRollbackError())
    assert passes(exc.TimeoutError())
    assert not passes(wrapped(psycopg2.ProgrammingError("can't adapt type 'set'")))
    assert not passes(ValueError("not of a database"))


def test_what_optuna_wraps() -> None:
    """It is what it was before."""

    def raised(cause: Exception) -> Exception:
        error = StorageInternalError("An exception is raised during the commit.")
        error.__cause__ = cause
        return error

    assert passes(raised(sent("57P01")))
    assert not passes(raised(sent("23505")))
    assert "said" == reason(raised(sent("57P01")))


def sqlite_error(name: str, text: str = "said") -> exc.DBAPIError:
    origin = sqlite3.OperationalError(text)
    origin.sqlite_errorname = name
    return exc.OperationalError("a statement", {}, origin)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SQLITE_BUSY", 1),
        ("SQLITE_BUSY_SNAPSHOT", 1),
        ("SQLITE_LOCKED", 1),
        ("SQLITE_FULL", 1),
        ("SQLITE_IOERR_WRITE", 1),
        ("SQLITE_CANTOPEN", 2),
        ("SQLITE_READONLY", 2),
        ("SQLITE_READONLY_DBMOVED", 2),
        ("SQLITE_NOTADB", 2),
    ],
)
def test_sqlite(name: str, code: int) -> None:
    """By the code that SQLite gives."""
    error = sqlite_error(name)
    assert (code == 1) is passes(error)
    told: HpoError = describe(error, make_url("sqlite:///hpo.db"))
    assert code == told.exit_code
