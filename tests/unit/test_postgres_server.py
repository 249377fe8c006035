"""The server that the other tests stand on."""

from __future__ import annotations

import signal

import psycopg2
import pytest

from tests.postgres import PostgresServer


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_keeps_what_was_committed(own_postgres: PostgresServer, how: signal.Signals) -> None:
    """Nothing that a client was told is committed gets lost, not even when the server is killed right after."""
    own_postgres.execute("create table kept (number integer)")
    own_postgres.execute("insert into kept values (7)")
    own_postgres.restart(how)
    assert own_postgres.execute("select number from kept") == [(7,)]


def test_a_wrong_password_is_refused(own_postgres: PostgresServer) -> None:
    """The password is asked for over TCP."""
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(own_postgres.url(password="wrong").replace("+psycopg2", ""))
