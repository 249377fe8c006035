"""The server that the other tests stand on."""

from __future__ import annotations

import psycopg2
import pytest

from tests.postgres import PostgresServer


def test_a_restart_keeps_the_data(own_postgres: PostgresServer) -> None:
    own_postgres.execute("create table kept as select 7 as number")
    own_postgres.restart()
    assert own_postgres.execute("select number from kept") == [(7,)]


def test_a_wrong_password_is_refused(own_postgres: PostgresServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(own_postgres.url(password="wrong").replace("+psycopg2", ""))
