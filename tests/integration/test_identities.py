"""What a living worker remembers never outlives what it was made from: studies, and the files of their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from hpo.service import begin_study, delete_study
from hpo.storage import Storage, open_storage
from hpo.storage.rows import StudyRow
from hpo.storage.tables import study as study_table
from tests.integration.helpers import Crew, make_study, the_cell, wait_until


def is_done(storage: Storage, row: StudyRow) -> bool:
    return the_cell(storage, row).state == "done"


def test_a_study_deleted_and_launched_anew(sqlite_url: str, tmp_path: Path) -> None:
    """On SQLite the new one gets the old one's ids; a worker that lives on trains the new plan."""
    storage, crew = open_storage(sqlite_url), Crew(sqlite_url, tmp_path)
    first = make_study(name="tiny", trial={"epochs": 3})
    second = make_study(name="tiny", trial={"epochs": 7, "model": {"hidden": [24]}})
    crew.start(forever=True)
    row = begin_study(storage, first)
    wait_until(lambda: is_done(storage, row))
    delete_study(storage, "tiny")
    with storage.engine.begin() as connection:  # as in a database that was made before ids were kept for good
        connection.exec_driver_sql("delete from sqlite_sequence")
    again = begin_study(storage, second)
    assert (row.id, False) == (again.id, row.uuid == again.uuid)
    wait_until(lambda: is_done(storage, again))
    cell = the_cell(storage, again)
    assert (7, 7) == (cell.epochs, len(storage.ledger.curves(again.id)))
    crew.kill()
    storage.close()


def write_images(file: Path, seed: int) -> None:
    """Images of two classes, the same in number and size for every seed."""
    chance = np.random.default_rng(seed)
    images = {f"{part}_inputs": chance.integers(0, 255, (40, 8, 8), np.uint8) for part in ("train", "test")}
    labels = {f"{part}_labels": np.arange(40) % 2 for part in ("train", "test")}
    np.savez(file.with_suffix(".new"), **images, **labels)
    file.with_suffix(".new.npz").replace(file)


def test_images_replaced(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that lives on trains the next study on the new images, and records their fingerprint."""
    monkeypatch.setenv("HPO_DATA_DIR", str(tmp_path))
    write_images(tmp_path / "set.npz", seed=1)
    data = {"kind": "npz", "file": "set.npz", "validation": 0.2}
    storage, crew = open_storage(postgres_url), Crew(postgres_url, tmp_path)
    crew.start(forever=True)
    before = begin_study(storage, make_study(name="before", trial={"data": data}))
    wait_until(lambda: is_done(storage, before))
    write_images(tmp_path / "set.npz", seed=2)
    after = begin_study(storage, make_study(name="after", trial={"data": data}))
    wait_until(lambda: is_done(storage, after))
    with storage.engine.connect() as connection:
        rows = connection.execute(select(study_table.c.name, study_table.c.data)).all()
    known = {row.name: row.data for row in rows}
    assert known["before"] != known["after"]

    # A worker that begins now, and has the same files, agrees.
    another = begin_study(storage, make_study(name="another", trial={"data": data}))
    crew.kill()
    crew.start()
    wait_until(lambda: is_done(storage, another))
    with storage.engine.connect() as connection:
        query = select(study_table.c.data).where(study_table.c.name == "another")
        assert known["after"] == connection.execute(query).scalar()
    crew.kill()
    storage.close()
