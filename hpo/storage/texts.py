"""Texts that a database can hold."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy

from hpo.errors import StorageError

MOST = 20_000
"""Characters that are kept of a text."""
CUT = " … "
"""Where the middle of a text was left out."""
ENCODINGS = ("UTF8", "SQL_ASCII")
"""Encodings of a Postgres database that takes every character; the second takes any bytes, which are ours in UTF-8."""

_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str, most: int = MOST) -> str:
    """The text without what no database takes, and not longer than `most` characters.

    NUL and halves of surrogate pairs, which stand for bytes that are no text, become U+FFFD. Of a text that is too long
    its beginning and its end stay: a traceback says at its end what happened.
    """
    text = _NOT_STORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    if len(text) <= most:
        return text
    head = (most - len(CUT)) // 2
    tail = most - len(CUT) - head
    return text[:head] + CUT + text[len(text) - tail :]


def check_encoding(connection: sqlalchemy.Connection) -> None:
    """See that the database takes every character; asks nothing of the server, which has said so on connecting.

    Raises:
        StorageError: it does not.
    """
    if connection.dialect.name == "sqlite":
        return
    driver: Any = connection.connection.dbapi_connection
    encoding = driver.info.parameter_status("server_encoding")
    if encoding not in ENCODINGS:
        raise StorageError(
            f"the database {driver.info.dbname!r} has the encoding {encoding}, which lacks most characters",
            hint="create one with UTF-8, and move the data with pg_dump: createdb -E UTF8 -l C -T template0 NAME",
        )
