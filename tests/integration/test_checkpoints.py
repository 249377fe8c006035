"""Checkpoints: in the database or at a URL, whole or not at all, gone when the cell is done."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table, delete, func, select
from werkzeug.serving import make_server

from hpo.errors import CheckpointError, LeaseLost
from hpo.service import begin_study
from hpo.storage import Storage, open_storage
from hpo.storage.checkpoints import (
    IN_PARTS,
    LARGEST_IN_DATABASE,
    LARGEST_WHOLE,
    REFERENCE,
    DatabaseCheckpoints,
    UrlCheckpoints,
)
from hpo.storage.parts import PART, SHARED, Parts
from hpo.storage.rows import Lease
from hpo.storage.tables import part
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
    import s3fs
    from moto.server import DomainDispatcherApplication, create_backend_app

    s3fs.S3FileSystem.clear_instance_cache()  # else one of another test, at another port, is used again
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


DATABASE = "d" * 32


def in_database(storage: Storage) -> DatabaseCheckpoints:
    """Checkpoints in the storage itself."""
    return DatabaseCheckpoints(Parts(storage.database))


def at(url: str, storage: Storage, database: str = DATABASE) -> UrlCheckpoints:
    """Checkpoints at a URL."""
    return UrlCheckpoints(url, Parts(storage.database), database)


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for checkpoints outside the database."""
    return str(tmp_path / "checkpoints") if request.param == "folder" else str(request.getfixturevalue("s3"))


@pytest.fixture
def opened(storage_url: str) -> Iterator[Storage]:
    """An open storage, of each kind in turn."""
    storage = open_storage(storage_url)
    yield storage
    storage.close()


def claim(storage: Storage) -> Lease:
    """A leased cell of a study of one."""
    begin_study(storage, make_study())
    claimed = storage.ledger.claim("worker", 60.0)
    assert claimed is not None
    return claimed


def count(storage: Storage, table: Table) -> int:
    with storage.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.mark.filterwarnings("ignore")
def test_kept_elsewhere(url: str, sqlite_url: str) -> None:
    """What is kept is a reference; each checkpoint has a file of its own; forgetting removes those of the cell."""
    opened = open_storage(sqlite_url)
    checkpoints, held = at(url, opened), claim(opened)
    first, second = checkpoints.keep(held, b"first"), checkpoints.keep(held, b"second")
    shared = checkpoints.keep(held, b"for others", SHARED)
    assert first.startswith(REFERENCE)
    assert [b"first", b"second"] == [checkpoints.fetch(first), checkpoints.fetch(second)]
    assert b"second" == at(url, opened).fetch(second)
    checkpoints.discard(first)
    with pytest.raises(CheckpointError, match="can't be read"):
        checkpoints.fetch(first)
    checkpoints.forget(held)
    with pytest.raises(CheckpointError, match="can't be read"):
        checkpoints.fetch(second)
    assert b"for others" == checkpoints.fetch(shared)
    checkpoints.forget_shared(held)
    with pytest.raises(CheckpointError, match="can't be read"):
        checkpoints.fetch(shared)


def test_one_folder_of_two_databases(opened: Storage, tmp_path: Path) -> None:
    """Their studies and cells have the same numbers; what one of them forgets or sweeps, the other has still."""
    folder = tmp_path / "with [1] and *"  # in a pattern these would mean something else
    ours, theirs = at(str(folder), opened), at(str(folder), opened, "e" * 32)
    held = claim(opened)
    mine, other = ours.keep(held, b"ours"), theirs.keep(held, b"theirs")
    ours.forget(held)
    assert b"theirs" == theirs.fetch(other)
    with pytest.raises(CheckpointError):
        ours.fetch(mine)
    assert [] == list(ours.sweep(set(), set()))


def test_files_that_cannot_be_removed(opened: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file system that has gone away costs no trial: it is said, and the files are left to a later sweep."""
    checkpoints, held = at(str(tmp_path / "files"), opened), claim(opened)
    kept = checkpoints.keep(held, b"kept")
    folder = tmp_path / "files" / DATABASE / held.study_uuid
    for file in folder.iterdir():
        file.unlink()
        file.mkdir()  # which no one can remove as a file
    checkpoints.discard(kept)
    checkpoints.forget(held)
    assert 2 == caplog.text.count("checkpoint files can't be removed")


def test_a_sweep(opened: Storage, tmp_path: Path) -> None:
    """Files that no ledger names are removed, but for those of cells that are held: their names may be on their way."""
    checkpoints, held = at(str(tmp_path), opened), claim(opened)
    kept, left = checkpoints.keep(held, b"kept"), checkpoints.keep(held, b"left behind")
    named = {kept.removeprefix(REFERENCE).decode()}
    assert [] == list(checkpoints.sweep(named, {held.cell.id}))
    assert [left.removeprefix(REFERENCE).decode()] == list(checkpoints.sweep(named, set()))
    assert b"kept" == checkpoints.fetch(kept)


def test_a_reference_cannot_lead_elsewhere(opened: Storage, tmp_path: Path) -> None:
    """A row in the database can't make a worker read or remove a file that is no checkpoint of this database."""
    folder = tmp_path / "checkpoints"
    ours, theirs, held = at(str(folder), opened), at(str(folder), opened, "e" * 32), claim(opened)
    mine = ours.keep(held, b"ours").removeprefix(REFERENCE).decode()
    other = theirs.keep(held, b"theirs").removeprefix(REFERENCE).decode()
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "precious").write_bytes(b"precious")
    paths = [f"{tmp_path}/secret", f"{folder}/../secret", f"{folder}/precious", f"{folder}/./precious", other]
    paths += [f"{mine}/../../../precious", f"{mine}\n", f"{folder}/{'d' * 32}"]
    for kept in (*(path.encode() for path in paths), b"\xff"):
        with pytest.raises(CheckpointError, match="outside"):
            ours.fetch(REFERENCE + kept)
        ours.discard(REFERENCE + kept)
    assert b"secret" == (tmp_path / "secret").read_bytes()
    assert b"precious" == (folder / "precious").read_bytes()
    assert b"theirs" == theirs.fetch(REFERENCE + other.encode())


@pytest.mark.parametrize(
    "named",
    ["", "1", "1/x", "1/x/1/1", f"{10**20}/last-a/1", "1/last-a/1000000", "1/last-a/x", "1/\0/1", "-1/last-a/1"],
)
def test_a_name_of_parts_that_nobody_gives(opened: Storage, named: str) -> None:
    """It is reported, and costs no trial anything."""
    kept = IN_PARTS + named.encode()
    with pytest.raises(CheckpointError, match="name can't be read"):
        in_database(opened).fetch(kept)
    in_database(opened).discard(kept)


def test_a_worker_without_the_url(opened: Storage, tmp_path: Path) -> None:
    """It says what it needs."""
    kept = at(str(tmp_path), opened).keep(claim(opened), b"x")
    with pytest.raises(CheckpointError, match="the checkpoint is not in the database") as error:
        in_database(opened).fetch(kept)
    assert "--checkpoints" in error.value.hint


@pytest.mark.parametrize("size", [0, 1, LARGEST_WHOLE, LARGEST_WHOLE + 1, PART, PART + 1, 3 * PART, 3 * PART + 7])
def test_in_the_database(opened: Storage, size: int) -> None:
    """Of any size, the same bytes come back; what is superseded or forgotten leaves no part."""
    checkpoints, held = in_database(opened), claim(opened)
    content = random.Random(size).randbytes(size)
    kept = checkpoints.keep(held, content)
    assert content == checkpoints.fetch(kept)
    assert (0 if size <= LARGEST_WHOLE else -(-size // PART)) == count(opened, part)
    assert len(kept) <= LARGEST_WHOLE
    checkpoints.discard(kept)
    assert 0 == count(opened, part)
    checkpoints.keep(held, content)
    opened.ledger.fail(held, "why", "why")
    assert 0 == count(opened, part)


def test_parts_under_a_lease(opened: Storage) -> None:
    """A worker that has lost its cell writes no part; a part that is missing is a damaged checkpoint."""
    checkpoints, held = in_database(opened), claim(opened)
    kept = checkpoints.keep(held, bytes(2 * PART))
    with opened.engine.begin() as connection:
        connection.execute(delete(part).where(part.c.number == 1))
    with pytest.raises(CheckpointError, match="part 2 of the checkpoint's 2 is missing"):
        checkpoints.fetch(kept)
    opened.ledger.release(held)
    with pytest.raises(LeaseLost):
        checkpoints.keep(held, bytes(2 * PART))


def test_the_largest_in_the_database(postgres_url: str) -> None:
    """One of the largest size is taken, in little more memory than its own; one byte more is refused, in words."""
    largest = subprocess.run(
        [sys.executable, "-c", LARGEST, postgres_url], capture_output=True, text=True, check=True, timeout=300
    )
    grown, refused = largest.stdout.splitlines()
    assert int(grown) < 2.5 * LARGEST_IN_DATABASE  # the checkpoint, and what is read back
    assert "the database takes 256" in refused and "--checkpoints URL" in refused


LARGEST = """
import resource, sys
from hpo.errors import CheckpointError
from hpo.service import begin_study
from hpo.storage import open_storage
from hpo.storage.checkpoints import LARGEST_IN_DATABASE, DatabaseCheckpoints
from hpo.storage.parts import Parts
from tests.integration.helpers import make_study

storage = open_storage(sys.argv[1])
begin_study(storage, make_study())
held = storage.ledger.claim("worker", 600.0)
checkpoints = DatabaseCheckpoints(Parts(storage.database))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
content = bytes(LARGEST_IN_DATABASE)
kept = checkpoints.keep(held, content)
storage.ledger.release(held, kept)
assert content == checkpoints.fetch(kept)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
try:
    checkpoints.keep(held, content + b"1")
except CheckpointError as error:
    print(f"{error} {error.hint}".replace(chr(10), " "))
"""


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
    assert "the checkpoint is damaged; the trial starts over" in crew.said()
    cell = the_cell(storage, row)
    assert undisturbed_curve(study, cell) == stored_curve(storage, row, cell)
    storage.close()


@pytest.mark.slow
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
    assert 1 <= len(list(folder.rglob("*.pt"))) <= 2  # the last one, and the one that is to follow
    worker.process.kill()
    gate.open()
    check_study(postgres_url, study.name, crew)
    cell = the_cell(storage, row)
    assert cell.claims > 1
    assert undisturbed_curve(study, cell) == stored_curve(storage, row, cell)
    assert [] == list(folder.rglob("*.pt"))
    storage.close()
