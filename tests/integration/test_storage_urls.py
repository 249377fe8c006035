"""What a storage URL says reaches the server: hosts in turn, and parameters before our defaults."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from hpo.storage import open_storage
from hpo.storage.connection.url import parse_url


def asked(url: str, what: str) -> str:
    """What the server shows over a connection of the storage's own."""
    storage = open_storage(url)
    with storage.engine.connect() as connection:
        shown = str(connection.execute(text(f"show {what}")).scalar())
    storage.close()
    return shown


def test_the_name_of_the_application(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, unless libpq's environment or the URL has another."""
    assert "hpo" == asked(postgres_url, "application_name")
    monkeypatch.setenv("PGAPPNAME", "theirs")
    assert "theirs" == asked(postgres_url, "application_name")
    assert "mine" == asked(f"{postgres_url}?application_name=mine", "application_name")


def test_several_hosts(postgres_url: str) -> None:
    """The first that answers and is writable, as libpq does it; nobody listens on port 1."""
    url = parse_url(postgres_url)
    login, _, hosts = postgres_url.rpartition("@")
    server, _, database = hosts.partition("/")
    assert str(url.port) == asked(f"{login}@127.0.0.1:1,{server}/{database}?target_session_attrs=read-write", "port")
