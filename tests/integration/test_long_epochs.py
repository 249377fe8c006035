"""An epoch may be longer than the lease: the lease is renewed while it runs."""

from __future__ import annotations

from pathlib import Path

from hpo.service import begin_study
from hpo.storage import open_storage
from tests.integration.helpers import Crew, check_study, make_study, the_cell

LONG = {"epochs": 2, "batch_size": 1, "model": {"kind": "cnn", "channels": [64, 64, 64]}, "data": {"train_limit": 1000}}


def test_an_epoch_longer_than_the_lease(postgres_url: str, tmp_path: Path) -> None:
    """The cell is claimed once, though another worker is waiting for it all the time."""
    storage = open_storage(postgres_url)
    row = begin_study(storage, make_study(trial=LONG))
    crew = Crew(postgres_url, tmp_path)
    crew.start(2, lease=1.0)
    check_study(postgres_url, "digits", crew)
    assert the_cell(storage, row).claims == 1
    assert all(point.seconds > 1.0 for point in storage.ledger.curves(row.id))
    storage.close()
