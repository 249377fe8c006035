"""Storage URLs: those of SQLAlchemy and of libpq, and what is said of those that can't be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from hpo.errors import StorageError
from hpo.storage.connection.url import DEFAULTS, connection_defaults, parse_url

LIBPQ: list[tuple[str, dict[str, Any]]] = [
    ("postgresql://", {}),
    ("postgresql:///x", {"dbname": "x"}),
    ("postgres://u@h/x", {"user": "u", "host": "h", "dbname": "x"}),
    ("postgresql://u:p@h:5433/x", {"user": "u", "password": "p", "host": "h", "port": 5433, "dbname": "x"}),
    ("postgresql://u:a%40b%2Fc d'\"@h", {"user": "u", "password": "a@b/c d'\"", "host": "h"}),
    ("postgresql://u@[::1]:5433/x", {"user": "u", "host": "::1", "port": 5433, "dbname": "x"}),
    ("postgresql://u@h1:5432,h2:5432/x", {"user": "u", "host": "h1,h2", "port": "5432,5432", "dbname": "x"}),
    ("postgresql://u@h1,h2:5433/x", {"user": "u", "host": "h1,h2", "port": ",5433", "dbname": "x"}),
    ("postgresql://u@h1,h2/x", {"user": "u", "host": "h1,h2", "port": ",", "dbname": "x"}),
    ("postgresql://u@[::1],h2/x", {"user": "u", "host": "::1,h2", "port": ",", "dbname": "x"}),
    (
        "postgresql://h1,h2/x?target_session_attrs=read-write",
        {"host": "h1,h2", "port": ",", "dbname": "x", "target_session_attrs": "read-write"},
    ),
    ("postgresql://u@/x?host=h1:5432&host=h2:5433", {"user": "u", "host": "h1,h2", "port": "5432,5433", "dbname": "x"}),
    ("postgresql://u@%2Frun%2Fpostgresql/x", {"user": "u", "host": "/run/postgresql", "dbname": "x"}),
    ("postgresql://u@/x?host=/run/postgresql", {"user": "u", "host": "/run/postgresql", "dbname": "x"}),
    (
        "postgresql://u@h/x?application_name=me@home",
        {"user": "u", "host": "h", "dbname": "x", "application_name": "me@home"},
    ),
]


def connect_arguments(text: str) -> dict[str, Any]:
    """What the driver is given."""
    return PGDialect_psycopg2().create_connect_args(parse_url(text))[1]


@pytest.mark.parametrize(("text", "expected"), LIBPQ)
def test_as_libpq_reads_it(text: str, expected: dict[str, Any]) -> None:
    """Whoever has a URL that works with psql can use it here."""
    given = connect_arguments(text)
    assert expected == {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize("text", [text for text, _ in LIBPQ])
def test_handed_over(text: str) -> None:
    """A worker gets the URL as text, and reads the same in it."""
    handed = parse_url(text).render_as_string(hide_password=False)
    assert connect_arguments(text) == connect_arguments(handed)


@given(user=st.text(min_size=1), password=st.text())
def test_any_user_and_password(user: str, password: str) -> None:
    """Percent-encoded they mean what they are, after any number of hands."""
    try:
        url = parse_url(f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@h/x")
    except UnicodeEncodeError:  # raised by quote: half of a surrogate pair is no text
        return
    except StorageError:
        assert any(ord(character) < 32 or 127 <= ord(character) < 160 for character in user + password)
        return
    assert (user, password) == (url.username, url.password)
    assert url == parse_url(url.render_as_string(hide_password=False))


UNREADABLE = [
    ("", "it is not a URL"),
    ("s3cret", "it is not a URL"),
    ("'postgresql://u:s3cret@h/x'", "it is not a URL"),
    (" postgresql://u:s3cret@h/x", "it is not a URL"),
    ("postgresql://u:a@s3cret@127.0.0.1/x", "more than one @"),
    ("postgresql://u:a/s3cret@127.0.0.1/x", "a port is not a number"),
    ("postgresql://u:1/s3cret@127.0.0.1/x", "it has an @ after a / or ?"),
    ("postgresql://u:1?s3cret@127.0.0.1/x", "it has an @ after a / or ?"),
    ("postgresql://u:a@b/s3cret@127.0.0.1/x", "it has an @ after a / or ?"),
    ("postgresql://u:s3cret@h1,,h2/x", "one of its hosts is empty"),
    ("postgresql://u:s3cret@,/x", "one of its hosts is empty"),
    ("postgresql://u:s3cret@:5432/x", "one of its hosts is empty"),
    ("postgresql://u:s3cret@h 1/x", "a host contains a blank, a quote"),
    ("postgresql://u:s3cret@'h'/x", "a host contains a blank, a quote"),
    ("postgresql://u:s3cret@h`id`/x", "a host contains a blank, a quote"),
    ("postgresql://u:s3cret@h:5432:1/x", "one of its hosts can't be read"),
    ("postgresql://u:s3cret@[::1/x", "one of its hosts can't be read"),
    ("postgresql://u:s3cret@h:0/x", "a port is not a number between 1 and 65535"),
    ("postgresql://u:s3cret@h:65536/x", "a port is not a number between 1 and 65535"),
    ("postgresql://u:s3cret@h:٣/x", "a port is not a number between 1 and 65535"),
    ("postgresql://:s3cret@h/x", "it has a password but no user"),
    ("postgresql://u:s3cret@h/x\n", "a control character"),
    ("postgresql://u:s3\0cret@h/x", "a control character"),
    ("postgresql://u:s3cret%00@h/x", "a control character"),
    ("sqlite:///s3cret%00.db", "a control character"),
    ("postgresql://u:s3cret@h/x?sslmode", "one of its parameters has no value"),
    ("postgresql://u:s3cret@h/x?sslmode=a&sslmode=b", "one of its parameters is given twice"),
    ("postgresql://u:s3cret@h1,h2/x?host=h3", "its hosts are given twice"),
    ("postgresql://u:s3cret@/x?host=a:b&host=c", "its hosts and ports don't match"),
    ("postgresql://u:s3cret@/x?host=a:b:c&host=d", "its hosts and ports don't match"),
    ("postgresql://u:s3cret@/x?host=a,b,c&port=1,2", "its hosts and ports don't match"),
]


@pytest.mark.parametrize(("text", "words"), UNREADABLE)
def test_what_cannot_be_read(text: str, words: str) -> None:
    """What is wrong and what to write, with nothing of the URL."""
    with pytest.raises(StorageError, match="the storage URL can't be read") as error:
        parse_url(text)
    said = f"{error.value} {error.value.hint}"
    assert words in said
    assert error.value.hint
    for part in ("s3", "cret", "127.0.0.1", "h1"):
        assert part not in said


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/tmp/foo.db", "sqlite:////tmp/foo.db"),
        ("a b.db", ""),
        ("u:s3cret@foo.db", ""),
        ("foo.sqlite", "sqlite:///foo.sqlite"),
    ],
)
def test_the_path_of_a_file(path: str, url: str) -> None:
    """It is repeated, with the URL to write, unless it may be something else."""
    with pytest.raises(StorageError) as error:
        parse_url(path)
    assert (path in str(error.value)) == bool(url)
    if url:
        assert f"write {url}" == error.value.hint
        assert Path(path) == Path(parse_url(url).database or "")


def test_the_hint_of_a_raw_at() -> None:
    """How each character is written."""
    with pytest.raises(StorageError) as error:
        parse_url("postgresql://u:a@b@127.0.0.1/x")
    assert "write @ as %40" in error.value.hint


@pytest.mark.parametrize(
    ("query", "environment", "given"),
    [
        ("", {}, set(DEFAULTS)),
        ("?connect_timeout=3", {}, set(DEFAULTS) - {"connect_timeout"}),
        ("", {"PGCONNECT_TIMEOUT": "3"}, set(DEFAULTS) - {"connect_timeout"}),
        ("?tcp_user_timeout=0&keepalives_idle=60", {}, set(DEFAULTS) - {"tcp_user_timeout", "keepalives_idle"}),
        ("?client_encoding=latin1", {"PGCLIENTENCODING": "latin1"}, set(DEFAULTS)),
    ],
)
def test_defaults_of_a_connection(query: str, environment: dict[str, str], given: set[str]) -> None:
    """They apply where nothing else is said, except for the encoding."""
    defaults = connection_defaults(parse_url(f"postgresql://h/x{query}"), environment)
    assert given | {"client_encoding"} == set(defaults)
    assert "utf8" == defaults["client_encoding"]
