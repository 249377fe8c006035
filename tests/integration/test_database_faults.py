"""The database goes away in the middle of a trial: the worker waits, and goes on with the same trial."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from hpo.errors import LeaseLost
from hpo.service import begin_study
from hpo.storage import Storage, create_storage, open_storage
from hpo.storage.tables import cell as cell_table
from tests.integration.gate import Gate
from tests.integration.helpers import (
    Crew,
    check_study,
    holder_after,
    make_study,
    stored_curve,
    the_cell,
    undisturbed_curve,
    wait_until,
)
from tests.postgres import PostgresServer


def restart(server: PostgresServer, how: signal.Signals) -> None:
    """A second without a server."""
    server.stop(how)
    time.sleep(1.0)
    server.start()


def drop_connections(server: PostgresServer) -> None:
    """End every connection to the server."""
    server.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hpo'")


FAULTS: dict[str, tuple[int, Callable[[PostgresServer], None]]] = {
    "restarted": (1, lambda server: restart(server, signal.SIGINT)),
    "crashed": (1, lambda server: restart(server, signal.SIGQUIT)),
    "connections dropped": (5, drop_connections),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_worker_outlives_its_database(own_postgres: PostgresServer, tmp_path: Path, gate: Gate, fault: str) -> None:
    """One and the same process trains the whole study, its curves as if nothing had been."""
    times, strike = FAULTS[fault]
    storage = create_storage(own_postgres.url())
    study = make_study(trial=gate.trial)
    row = begin_study(storage, study)
    crew = Crew(own_postgres.url(), tmp_path)
    try:
        crew.start(1, study.name, lease=5.0)
        for strikes in range(times):
            worker, _ = holder_after(storage, crew, row, epochs=2 + 3 * strikes)
            strike(own_postgres)
            assert worker.process.poll() is None
        gate.open()
        (cell,) = check_study(own_postgres.url(), study.name, crew)
    finally:
        crew.kill()
        storage.close()
    assert 1 == cell.claims
    assert undisturbed_curve(study, cell) == stored_curve(storage, row, cell)


def test_a_lease_taken_away(storage: Storage, postgres_url: str, crew: Crew, gate: Gate) -> None:
    """The worker drops the trial and writes nothing more of it, until the thief's lease too has run out."""

    def rob(**values: object) -> None:
        with storage.engine.begin() as connection:
            connection.execute(update(cell_table).values(values))

    study = make_study(trial=gate.trial)
    row = begin_study(storage, study)
    crew.start(1, study.name)
    holder_after(storage, crew, row, epochs=2)
    rob(token="other", worker="thief", lease_until=4e9, lease_seconds=4e9)
    stolen = the_cell(storage, row)
    wait_until(lambda: "dropped" in crew.said())
    assert stolen == the_cell(storage, row)
    assert stolen.epochs == len(storage.ledger.curves(row.id))

    gate.open()
    rob(lease_until=0.0)
    (cell,) = check_study(postgres_url, study.name, crew)
    assert (2, "thief") == (cell.claims, stolen.worker)
    assert stolen.trial_id == cell.trial_id
    assert undisturbed_curve(study, cell) == stored_curve(storage, row, cell)


def test_a_claim_that_the_server_forgets(own_postgres: PostgresServer) -> None:
    """Claims do not wait for the disk. What a crash has undone another worker claims, and the first is fenced."""
    own_postgres.stop()
    own_postgres.settings["wal_writer_delay"] = "10s"
    own_postgres.start()
    storage = create_storage(own_postgres.url())
    row = begin_study(storage, make_study(arms={"fixed": {}}))
    forgotten = storage.ledger.claim("first", 60.0)
    assert forgotten is not None and 1 == the_cell(storage, row).claims
    own_postgres.restart(signal.SIGQUIT)
    storage.close()
    storage = open_storage(own_postgres.url())
    again = storage.ledger.claim("second", 60.0)
    assert again is not None and (forgotten.cell.id, 1) == (again.cell.id, again.cell.claims)
    with pytest.raises(LeaseLost):
        storage.ledger.renew(forgotten, 60.0)
    storage.ledger.renew(again, 60.0)
    storage.close()
