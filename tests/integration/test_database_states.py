"""A database that passes through states: what passes is waited for, what must be mended is said, and nothing hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import psycopg2
import pytest
from sqlalchemy import text, update

from hpo.errors import StorageError
from hpo.service import begin_study
from hpo.storage import Storage, create_storage, open_storage
from hpo.storage.connection.deadline import Deadlines
from hpo.storage.connection.retry import Retry
from hpo.storage.connection.url import parse_url
from hpo.storage.tables import cell as cell_table
from hpo.worker import Worker, WorkerOptions
from tests.integration.gate import Gate
from tests.integration.helpers import Crew, check_study, holder_after, make_study, the_cell, wait_until
from tests.postgres import PostgresServer

END_ALL = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hpo'"


def administer(url: str, statement: str) -> None:
    """What a database's administrator does, from another database."""
    there = parse_url(url)
    connection = psycopg2.connect(
        host=there.host, port=there.port, user=there.username, password=there.password, dbname="postgres"
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement.replace("{database}", str(there.database)))
    connection.close()


def end_all(url: str) -> None:
    administer(url, f"{END_ALL} and datname = '{{database}}'")


def test_a_server_that_is_read_only_for_a_while(storage: Storage, crew: Crew, postgres_url: str, gate: Gate) -> None:
    """As in a failover, before the standby is promoted: workers wait for it, and every cell is done."""
    study = make_study(trial=gate.trial)
    row = begin_study(storage, study)
    crew.start()
    holder_after(storage, crew, row, epochs=1)
    administer(postgres_url, "alter database {database} set default_transaction_read_only = on")
    end_all(postgres_url)
    wait_until(lambda: "read-only transaction" in crew.said())
    administer(postgres_url, "alter database {database} set default_transaction_read_only = off")
    end_all(postgres_url)
    gate.open()
    check_study(postgres_url, study.name, crew)


@pytest.mark.parametrize("verb", [["worker", "--forever", "--device=cpu"], ["start-workers", "local", "--device=cpu"]])
def test_nobody_listens_at_first(verb: list[str]) -> None:
    """It is tried again for as long as is said, and is never a thing that a person must mend: exit code 1."""
    done = subprocess.run(
        [sys.executable, "-m", "hpo", *verb, "--retry-for=0.5"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HPO_STORAGE": "postgresql://me@127.0.0.1:1/x"},
    )
    assert 1 == done.returncode, done.stderr
    assert "trying again" in done.stderr and "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_connection_table_at_first(storage: Storage, crew: Crew, postgres_url: str) -> None:
    """A worker that comes while no connection is to be had begins when there is one."""
    study = make_study()
    begin_study(storage, study)
    storage.close()
    # The owner may always connect, so a role of its own stands before the full table.
    administer(postgres_url, "create role guest_{database} login superuser password 'guest' connection limit 0")
    there = parse_url(postgres_url)
    as_guest = there.set(username=f"guest_{there.database}", password="guest")
    guests = Crew(as_guest.render_as_string(hide_password=False), crew._folder)
    administer(postgres_url, "alter role guest_{database} nosuperuser")
    administer(postgres_url, "grant hpo to guest_{database}")
    guests.start()
    try:
        wait_until(lambda: "too many connections" in guests.said())
        administer(postgres_url, "alter role guest_{database} connection limit -1")
        check_study(postgres_url, study.name, guests)
    finally:
        guests.kill()
        administer(postgres_url, "alter role guest_{database} connection limit 0")
        wait_until(lambda: _drop_guest(postgres_url))


def _drop_guest(url: str) -> bool:
    try:
        administer(url, "drop role guest_{database}")
    except psycopg2.Error:
        return False
    return True


def test_a_frozen_server(own_postgres: PostgresServer, tmp_path: Path, gate: Gate) -> None:
    """It accepts connections and answers none, as on a suspended machine: a worker that is asked to stop does so."""
    storage = create_storage(own_postgres.url())
    row = begin_study(storage, make_study(trial=gate.trial))
    crew = Crew(own_postgres.url(), tmp_path)
    (worker,) = crew.start()
    holder_after(storage, crew, row, epochs=1)
    processes = own_postgres.processes()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        worker.process.send_signal(signal.SIGTERM)
        assert 1 == worker.process.wait(40.0), crew.said()
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
        crew.kill()
    assert "Traceback" not in crew.said()
    assert the_cell(storage, row).state in ("leased", "planned")  # the server goes on, perhaps with what was sent last
    storage.close()


def test_a_call_that_does_not_come_back(storage: Storage, postgres_url: str) -> None:
    """A lock that somebody holds: the call is ended from outside, tried again, and comes through once it may."""
    tried = 0
    waiting = open_storage(postgres_url, Retry(60.0, Event()))
    deadlines = Deadlines(waiting.engine, lambda: 1.0)
    row = begin_study(storage, make_study())
    with storage.engine.connect() as holder:
        holder.execute(text("select * from hpo_study for update"))

        def set_state() -> None:
            nonlocal tried
            tried += 1
            if tried > 1:
                holder.rollback()
            waiting.ledger_without_retry().set_state(row.id, "stopped")

        waiting.database.retry(set_state)
    assert tried == 2
    assert "stopped" == storage.ledger.study("digits").state
    deadlines.close()
    waiting.close()


def test_a_statement_that_is_always_canceled(storage: Storage, postgres_url: str) -> None:
    """It is not sent for a quarter of an hour: the setting's name is said after three tries."""
    begin_study(storage, make_study())
    administer(postgres_url, "alter database {database} set statement_timeout = '200ms'")
    impatient = open_storage(postgres_url, Retry(900.0, Event()))
    with pytest.raises(StorageError, match="canceled the same statement 3 times") as error:
        impatient.database.read(lambda connection: connection.execute(text("select pg_sleep(5)")))
    assert "statement_timeout" in error.value.hint
    impatient.close()


def test_a_checkpoint_that_is_never_taken(
    storage: Storage, postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The epochs are recorded without it, the worker says so, and the trial is done."""
    monkeypatch.setattr("hpo.storage.checkpoints.LARGEST_WHOLE", 100)
    monkeypatch.setattr("hpo.storage.parts.RETRY_SECONDS", 0.0)
    row = begin_study(storage, make_study())
    with storage.engine.begin() as connection:
        connection.execute(text("alter table hpo_part add constraint never check (number < 0)"))
    Worker(storage, [], WorkerOptions(device="cpu", checkpoint_seconds=0.0), Event()).run()
    cell = the_cell(storage, row)
    assert ("done", 3) == (cell.state, len(storage.ledger.curves(row.id)))
    assert "the database refused the checkpoint" in caplog.text


def test_the_isolation_that_a_role_is_given(storage: Storage, postgres_url: str) -> None:
    """Ours is set by us: what follows a lock sees what was committed until the lock was had."""
    administer(postgres_url, "alter database {database} set default_transaction_isolation = 'repeatable read'")
    opened = open_storage(postgres_url)
    with opened.engine.connect() as connection:
        assert "read committed" == connection.execute(text("show transaction_isolation")).scalar()
    opened.close()


def test_a_clock_that_was_set_back(storage: Storage) -> None:
    """A lease that seems to last for another hour has run out: none is longer than it was given for."""
    row = begin_study(storage, make_study())
    first = storage.ledger.claim("first", 60.0)
    assert first is not None and storage.ledger.claim("second", 60.0) is None
    with storage.engine.begin() as connection:
        connection.execute(update(cell_table).values(lease_until=cell_table.c.lease_until + 3600))
    again = storage.ledger.claim("second", 60.0)
    assert again is not None and (first.cell.id, 2) == (again.cell.id, the_cell(storage, row).claims)


def test_a_file_that_was_removed(tmp_path: Path) -> None:
    """An SQLite storage whose file is gone, or another one by now: a worker ends at its next claim."""
    storage = create_storage(f"sqlite:///{tmp_path}/hpo.db")
    begin_study(storage, make_study(name="before"))
    Worker(storage, [], WorkerOptions(device="cpu"), Event()).run()
    begin_study(storage, make_study())
    for file in tmp_path.glob("hpo.db*"):
        file.unlink()
    with pytest.raises(StorageError, match="removed or replaced"):
        Worker(storage, [], WorkerOptions(device="cpu"), Event()).run()
    storage.close()


def test_a_file_that_was_removed_before_the_worker_is_asked_to_stop(tmp_path: Path, gate: Gate) -> None:
    """What it saved last is nowhere: it does not say that the trial is to be continued."""
    url = f"sqlite:///{tmp_path}/hpo.db"
    storage, stop, said = create_storage(url), Event(), []
    row = begin_study(storage, make_study(trial=gate.trial))

    def run() -> None:
        try:
            Worker(open_storage(url), [], WorkerOptions(device="cpu"), stop).run()
        except StorageError as error:
            said.append(str(error))

    thread = Thread(target=run)
    thread.start()
    wait_until(lambda: the_cell(storage, row).state == "leased")
    for file in tmp_path.glob("hpo.db*"):
        file.unlink()
    stop.set()
    thread.join()
    assert ["removed or replaced" in line for line in said] == [True]
    storage.close()
