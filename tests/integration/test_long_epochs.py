"""An epoch may be longer than the lease: the lease is renewed while it runs."""

from __future__ import annotations

from pathlib import Path

from hpo.service import begin_study
from hpo.storage import create_storage, open_storage
from tests.integration.helpers import Crew, check_study, make_study, the_cell, wait_until
from tests.postgres import PostgresServer

LONG = {"epochs": 1, "batch_size": 1, "model": {"kind": "mlp", "hidden": [2048, 2048]}, "data": {"train_limit": 600}}
"""An epoch of 600 steps that move 4 million weights each: several seconds on any CPU."""


def test_a_lease_that_cannot_be_renewed(own_postgres: PostgresServer, tmp_path: Path) -> None:
    """After two lease lengths without the database the worker stops training; when it is back, the cell is done."""
    own_postgres.execute("create database studies")
    url = own_postgres.url("studies")
    storage = create_storage(url)
    row = begin_study(storage, make_study(trial=LONG))
    crew = Crew(url, tmp_path)
    crew.start(1, lease=1.0, checkpoint_every=60.0)
    wait_until(lambda: the_cell(storage, row).state == "leased")
    storage.close()
    own_postgres.stop()
    wait_until(lambda: "not renewed for two lease lengths; training stops" in crew.said())
    own_postgres.start()
    check_study(url, "digits", crew)
    assert "; dropped" in crew.said()


def test_an_epoch_longer_than_the_lease(postgres_url: str, tmp_path: Path) -> None:
    """The cell is claimed once, though another worker is waiting for it all the time."""
    storage = open_storage(postgres_url)
    row = begin_study(storage, make_study(trial=LONG))
    crew = Crew(postgres_url, tmp_path)
    crew.start(2, lease=1.0, checkpoint_every=60.0)
    check_study(postgres_url, "digits", crew)
    assert the_cell(storage, row).claims == 1
    storage.close()
