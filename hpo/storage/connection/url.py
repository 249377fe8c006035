"""Storage URLs as people write them, SQLAlchemy's or libpq's, and what a connection gets beside them.

A message about a URL that can't be read repeats nothing of it: what looks like a host may be half of a password. Only
the path of an SQLite file, which ends as such files do, is repeated.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import sqlalchemy
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from hpo.errors import StorageError
from hpo.words.masking import ENCODED, looks_misread, split_authority

ALLOWED = "postgresql://USER@HOST/DATABASE or sqlite:///FILE.db"
POSTGRES = "postgresql+psycopg2"
POSTGRES_NAMES = ("postgres", "postgresql", POSTGRES)
HINT = f"{ENCODED}; or leave the password to PGPASSWORD"

_HOST_AND_PORT = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[^:]*))?")
_NO_HOST = re.compile(r"[\s'\"`\\<>{}|^$;&()]")
_DATABASE_FILE = re.compile(r"[^\s'\"@:?=&%]+\.(db|sqlite3?)")

# A worker that is cut off from the server gets an error within half a minute; by the system's defaults it would hang
# for a quarter of an hour.
DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "fallback_application_name": "hpo",
}
ENVIRONMENT = {"connect_timeout": "PGCONNECT_TIMEOUT"}
"""The variable by which libpq takes a parameter, where it has one; for the application's name libpq asks by itself."""


def parse_url(text: str) -> URL:
    """The storage URL, its driver made explicit.

    Raises:
        StorageError: it is none, or of a database that is not supported.
    """
    scheme, mark, rest = text.partition("://")
    if "%00" in text or any(unicodedata.category(character) == "Cc" for character in text):
        raise _unreadable("it holds a control character, such as the end of a line", f"write {ALLOWED}")
    if mark and scheme in POSTGRES_NAMES:
        return _postgres_url(rest)
    try:
        url = sqlalchemy.make_url(text)
    except (ArgumentError, ValueError):
        if _DATABASE_FILE.fullmatch(text):
            raise _unreadable(f"{text} is a path and not a URL", f"write sqlite:///{text}") from None
        raise _unreadable("it is not a URL", f"write {ALLOWED}, without quotes or blanks around it") from None
    if url.drivername != "sqlite":
        raise StorageError(f"storage of the kind {url.drivername!r} is not supported", hint=f"write {ALLOWED}")
    if url.database in (None, "", ":memory:"):
        raise StorageError("the storage must outlive the process: SQLite in memory does not", hint=f"write {ALLOWED}")
    return url


def connection_defaults(url: URL, environ: Mapping[str, str]) -> dict[str, str | int]:
    """What a connection to Postgres gets of us: where neither the URL nor libpq's environment says something else.

    The encoding is always ours: texts are Unicode, whatever the terminal's or the database's is.
    """
    defaults: dict[str, str | int] = {"client_encoding": "utf8"}
    for name, value in DEFAULTS.items():
        if name not in url.query and ENVIRONMENT.get(name, "") not in environ:
            defaults[name] = value
    return defaults


def _postgres_url(rest: str) -> URL:
    authority, after = split_authority(rest)
    if authority.count("@") > 1:
        raise _unreadable("it has more than one @", HINT)
    login, _, hosts = authority.rpartition("@")
    found = list(_hosts(hosts)) if hosts else []
    if looks_misread(f"{POSTGRES}://{rest}"):
        raise _unreadable("it has an @ after a / or ?", HINT)
    user, colon, password = login.partition(":")
    if colon and not user:
        raise _unreadable("it has a password but no user", f"write {ALLOWED}")
    path, _, query = after.partition("?")
    url = URL.create(
        POSTGRES,
        username=unquote(user) if user else None,
        password=unquote(password) if colon else None,
        database=unquote(path[1:]) or None,
        query=_parameters(query),
    )
    url = _with_hosts(url, found)
    dialect: Any = url.get_dialect()
    try:
        dialect().create_connect_args(url)
    except (ArgumentError, ValueError):
        raise _unreadable("its hosts and ports don't match", "write ?host=H1,H2&port=P1,P2") from None
    return url


def _parameters(query: str) -> dict[str, str | tuple[str, ...]]:
    """The parameters of the query; only hosts may be given several times, as SQLAlchemy has it."""
    try:
        pairs = parse_qsl(query, strict_parsing=True) if query else []
    except ValueError:
        raise _unreadable("one of its parameters has no value", "write ?NAME=VALUE&NAME=VALUE") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    for name, values in found.items():
        if len(values) > 1 and name != "host":
            raise _unreadable("one of its parameters is given twice", "give each parameter once")
    return {name: values[0] if len(values) == 1 else tuple(values) for name, values in found.items()}


def _hosts(text: str) -> Iterator[tuple[str, str]]:
    """Each host with its port, which may be empty."""
    for part in text.split(","):
        found = _HOST_AND_PORT.fullmatch(part)
        if found is None:
            raise _unreadable("one of its hosts can't be read", f"{HINT}; write an IPv6 address in [ ]")
        host = unquote(found["address"] or found["name"])
        port = found["port"] or ""
        if not host:
            raise _unreadable("one of its hosts is empty", f"write {ALLOWED}")
        if _NO_HOST.search(host):
            raise _unreadable("a host contains a blank, a quote or another character that is not allowed", HINT)
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise _unreadable("a port is not a number between 1 and 65535", HINT)
        yield host, port


def _with_hosts(url: URL, hosts: list[tuple[str, str]]) -> URL:
    """Several hosts, and the folder of a socket, go into the query, where SQLAlchemy looks for them."""
    if not hosts:
        return url
    [(host, port), *others] = hosts
    if not others and not host.startswith("/"):
        return url.set(host=host, port=int(port) if port else None)
    if "host" in url.query or "port" in url.query:
        raise _unreadable("its hosts are given twice", "write them before the database or in ?host=, not both")
    parameters = {"host": ",".join(host for host, _ in hosts)}
    if any(port for _, port in hosts):
        parameters["port"] = ",".join(port for _, port in hosts)
    return url.update_query_dict(parameters)


def _unreadable(why: str, hint: str) -> StorageError:
    return StorageError(f"the storage URL can't be read: {why}", hint=hint)
