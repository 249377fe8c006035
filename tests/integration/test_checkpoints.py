"""Checkpoints: in the database or at a URL, whole or not at all, gone when the cell is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from hpo.errors import CheckpointError
from hpo.service import begin_study
from hpo.storage import open_storage
from hpo.storage.checkpoints import LARGEST_IN_DATABASE, REFERENCE, DatabaseCheckpoints, UrlCheckpoints
from hpo.storage.rows import Lease
from tests.integration.gate import Gate
from tests.integration.helpers import (
    Crew,
    check_study,
    holder_after,
    make_study,
    stored_curve,
    the_cell,
    undisturbed_curve,
)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a local server that speaks S3."""
    from moto.server import DomainDispatcherApplication, create_backend_app

    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
    }.items():
        monkeypatch.setenv(name, value)
    yield "s3://hpo-checkpoints/studies"
    server.shutdown()
    thread.join()


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for checkpoints outside the database."""
    return str(tmp_path / "checkpoints") if request.param == "folder" else str(request.getfixturevalue("s3"))


def lease(sqlite_url: str, cells: int = 1) -> Lease:
    """A leased cell."""
    storage = open_storage(sqlite_url)
    begin_study(storage, make_study())
    claimed = storage.ledger.claim("worker", 60.0)
    assert claimed is not None
    return claimed


@pytest.mark.filterwarnings("ignore")
def test_kept_elsewhere(url: str, sqlite_url: str) -> None:
    """What is kept is a reference; each checkpoint has a file of its own; forgetting removes those of the cell."""
    checkpoints, held = UrlCheckpoints(url), lease(sqlite_url)
    first, second = checkpoints.keep(held, b"first"), checkpoints.keep(held, b"second")
    assert first.startswith(REFERENCE)
    assert [b"first", b"second"] == [checkpoints.fetch(first), checkpoints.fetch(second)]
    assert b"second" == UrlCheckpoints(url).fetch(second)
    checkpoints.forget(held)
    with pytest.raises(CheckpointError, match="can't be read"):
        checkpoints.fetch(second)


def test_a_reference_cannot_lead_elsewhere(tmp_path: Path) -> None:
    """A row in the database can't make a worker read other files."""
    (tmp_path / "secret").write_bytes(b"secret")
    checkpoints = UrlCheckpoints(str(tmp_path / "checkpoints"))
    for path in (f"{tmp_path}/secret", f"{tmp_path}/checkpoints/../secret"):
        with pytest.raises(CheckpointError, match="outside"):
            checkpoints.fetch(REFERENCE + path.encode())


def test_a_worker_without_the_url(sqlite_url: str, tmp_path: Path) -> None:
    """It says what it needs."""
    kept = UrlCheckpoints(str(tmp_path)).keep(lease(sqlite_url), b"x")
    with pytest.raises(CheckpointError, match="the checkpoint lies at") as error:
        DatabaseCheckpoints().fetch(kept)
    assert "--checkpoints" in error.value.hint


def test_too_large_for_the_database(sqlite_url: str) -> None:
    """The message gives both sizes and the way out."""
    with pytest.raises(CheckpointError, match="257 MiB, the database takes 256") as error:
        DatabaseCheckpoints().keep(lease(sqlite_url), bytes(LARGEST_IN_DATABASE + (1 << 20)))
    assert "--checkpoints URL" in error.value.hint


@pytest.mark.parametrize("damage", [b"", b"\x00", b"not a checkpoint"])
def test_a_damaged_checkpoint(postgres_url: str, tmp_path: Path, damage: bytes) -> None:
    """It is reported, and the trial begins anew and ends as if nothing had happened."""
    study = make_study(trial={"epochs": 4})
    storage = open_storage(postgres_url)
    row = begin_study(storage, study)
    for _ in range(2):  # the checkpoint of a cell that has been claimed before is read
        held = storage.ledger.claim("nobody", 60.0)
        assert held is not None
        storage.ledger.release(held, damage)
    crew = Crew(postgres_url, tmp_path)
    crew.start()
    check_study(postgres_url, study.name, crew)
    assert "the checkpoint is damaged; the trial begins anew" in crew.said()
    cell = the_cell(storage, row)
    assert undisturbed_curve(study, cell) == stored_curve(storage, row, cell)
    storage.close()


def test_a_killed_worker_with_a_shared_folder(
    postgres_url: str, tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker goes on from the file; at the end the folder is empty."""
    folder = tmp_path / "checkpoints"
    monkeypatch.setenv("HPO_CHECKPOINTS", str(folder))
    study = make_study(trial=gate.trial)
    storage = open_storage(postgres_url)
    row = begin_study(storage, study)
    crew = Crew(postgres_url, tmp_path)
    crew.start(2)
    worker, _ = holder_after(storage, crew, row, epochs=2)
    assert list(folder.glob("*.pt"))
    worker.process.kill()
    gate.open()
    check_study(postgres_url, study.name, crew)
    cell = the_cell(storage, row)
    assert cell.claims > 1
    assert undisturbed_curve(study, cell) == stored_curve(storage, row, cell)
    assert [] == list(folder.iterdir())
    storage.close()
