"""What a shell completes at TAB: the names of studies and arms in the storage.

A person waits for it, with half a command on the screen: so it says nothing but names, and gives up at once when the
storage does not answer. To import `hpo.storage` would take longer than to ask, hence the one statement of SQL here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from threading import Thread

import click

PATIENCE_SECONDS = 1.0
"""How long the storage may take, with all that is between it and here."""
Rows = list[tuple[str, str]]
STUDIES = "select name, spec from hpo_study order by name"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""Only what can be a name is shown: a row that somebody else wrote may hold anything."""


def studies(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The studies whose names begin so."""
    return _beginning(incomplete, _asked(context))


def arms(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The arms of the study that the command names; click has not assigned it yet while an option waits for a value."""
    named = [context.params.get("study"), *context.args]
    spec = next((spec for name, spec in _asked(context).items() if name in named), "{}")
    try:
        return _beginning(incomplete, json.loads(spec)["arms"])
    except (KeyError, TypeError, ValueError):
        return []


def _beginning(incomplete: str, names: Iterable[object]) -> list[str]:
    return [name for name in map(str, names) if name.startswith(incomplete) and NAME.fullmatch(name)]


def _asked(context: click.Context) -> dict[str, str]:
    """What the storage answers in time, name by name; nothing if it can't."""
    rows: dict[str, str] = {}
    asking = Thread(target=_ask, args=(context.params.get("storage") or "", rows), daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    return dict(rows)


def _ask(url: str, rows: dict[str, str]) -> None:
    try:
        rows.update(_in_file(url) if url.startswith("sqlite:///") else _on_server(url))
    except Exception:
        return  # whatever it is, a command says it better


def _in_file(url: str) -> Rows:
    import sqlite3
    from contextlib import closing
    from pathlib import Path

    file = Path(url.removeprefix("sqlite:///").partition("?")[0]).absolute()
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)) as connection:
        return list(connection.execute(STUDIES))


def _on_server(url: str) -> Rows:
    from contextlib import closing

    import psycopg2

    scheme, _, rest = url.partition("://")
    address = f"{scheme.partition('+')[0]}://{rest}"  # libpq knows no drivers
    with closing(psycopg2.connect(address, connect_timeout=2)) as connection, connection.cursor() as cursor:
        cursor.execute(STUDIES)
        return list(cursor)
