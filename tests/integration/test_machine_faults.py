"""A machine that lacks memory, room on its disk, or its images: the cell is given back, with the reason in words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo.service import begin_study
from hpo.storage import create_storage, open_storage
from tests.integration.helpers import make_study


def worker(url: str, *options: str, limit: str = "true", **environment: str) -> subprocess.CompletedProcess[str]:
    """A worker under a shell's `limit`, run to its end."""
    command = f'{limit}; exec "$@"'
    return subprocess.run(
        ["bash", "-c", command, "bash", sys.executable, "-m", "hpo", "worker", "--device=cpu", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"HPO_STORAGE": url} | environment,
    )


def test_out_of_memory(postgres_url: str) -> None:
    """The trial that does not fit is tried, set aside with the allocator's words; the others are done."""
    wide = {"trial": {"model": {"hidden": [65_536, 65_536]}}, "search": {"lr.peak": {"values": [0.05]}}}
    slim = {"search": {"lr.peak": {"values": [0.05]}}}
    storage = open_storage(postgres_url)
    row = begin_study(storage, make_study({"wide": wide, "slim": slim}, attempts=2))
    done = worker(postgres_url, limit="ulimit -v 12000000")  # KiB; torch alone maps several GiB
    assert done.returncode == 0, done.stderr
    failed, fine = storage.ledger.cells(row.id)
    assert ("failed", "done") == (failed.state, fine.state)
    assert "allocate memory" in (failed.error or "")
    assert "attempt 1 of 2 failed; it will be tried again" in done.stderr
    assert "set aside as failed" in done.stderr
    storage.close()


@pytest.mark.slow
def test_a_full_disk(tmp_path: Path) -> None:
    """The worker waits for as long as it is told, says what the database said, and ends; later another goes on."""
    url = f"sqlite:///{tmp_path}/hpo.db"
    storage = create_storage(url)
    row = begin_study(
        storage, make_study({"grid": {"search": {"lr.peak": {"values": [0.01 * n for n in range(1, 13)]}}}})
    )
    storage.close()
    size = (tmp_path / "hpo.db").stat().st_size // 1024
    # The journal may grow to the size of the database as it is now, and no further.
    done = worker(url, "--retry-for=1", "--checkpoint-every=0", limit=f"trap '' XFSZ; ulimit -f {size + 8}")
    assert done.returncode == 1, done.stderr
    assert "error: the database could not be reached for too long: " in done.stderr
    assert "full" in done.stderr or "disk I/O error" in done.stderr
    assert "Traceback" not in done.stderr

    assert worker(url, "--lease=1").returncode == 0
    storage = open_storage(url)
    assert {"done"} == {cell.state for cell in storage.ledger.cells(row.id)}
    storage.close()


def test_images_removed(postgres_url: str, tmp_path: Path) -> None:
    """A worker that can't find the images gives the cell back and ends with exit code 2; with them it goes on."""
    folder = tmp_path / "data"
    folder.mkdir()
    dice = np.random.default_rng(0)
    images = {f"{part}_inputs": dice.integers(0, 255, (n, 8, 8), np.uint8) for part, n in (("train", 60), ("test", 20))}
    labels = {"train_labels": np.arange(60) % 3, "test_labels": np.arange(20) % 3}
    np.savez(folder / "set.npz", **images, **labels)
    shutil.copy(folder / "set.npz", tmp_path / "away.npz")
    data = {"kind": "npz", "file": "set.npz", "validation": 0.2}
    storage = open_storage(postgres_url)
    row = begin_study(storage, make_study(trial={"data": data}))

    (folder / "set.npz").unlink()
    done = worker(postgres_url, HPO_DATA_DIR=str(folder))
    assert done.returncode == 2, done.stderr
    assert "given back; this worker leaves digits out" in done.stderr
    assert "there is no file" in done.stderr
    assert "Traceback" not in done.stderr
    (cell,) = storage.ledger.cells(row.id)
    assert ("planned", 0) == (cell.state, cell.attempts)
    assert "there is no file" in (cell.reason or "")

    shutil.copy(tmp_path / "away.npz", folder / "set.npz")
    assert worker(postgres_url, HPO_DATA_DIR=str(folder)).returncode == 0
    (cell,) = storage.ledger.cells(row.id)
    assert cell.state == "done"
    storage.close()


def test_a_processor_without_bfloat16(tmp_path: Path) -> None:
    """The trial is given back for a worker that can, without an attempt; one that is told to trains it."""
    url, old = f"sqlite:///{tmp_path}/hpo.db", {"ONEDNN_MAX_CPU_ISA": "AVX2"}  # as torch sees a processor of 2013
    storage = create_storage(url)
    row = begin_study(storage, make_study(trial={"precision": "bfloat16"}))
    done = worker(url, **old)
    assert done.returncode == 2, done.stderr
    assert "given back; this worker leaves digits out" in done.stderr
    assert "has no bf16 instructions (avx512_bf16, amx_bf16)" in done.stderr
    assert "HPO_SLOW_BFLOAT16=1" in done.stderr
    (cell,) = storage.ledger.cells(row.id)
    assert ("planned", 0, 0) == (cell.state, cell.attempts, cell.epochs)

    assert worker(url, **old, HPO_SLOW_BFLOAT16="1").returncode == 0
    (cell,) = storage.ledger.cells(row.id)
    assert cell.state == "done"
    storage.close()


@pytest.mark.parametrize(
    "options", [["--checkpoints", "/dev/null/folder"], ["--device", "cuda:99"], ["--device", "tpu"]]
)
def test_what_a_worker_cannot_use(postgres_url: str, options: list[str]) -> None:
    """It says so at once, with exit code 2."""
    storage = open_storage(postgres_url)
    begin_study(storage, make_study())
    storage.close()
    done = worker(postgres_url, *options)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error: ") == 1
    assert options[0] in done.stderr
    assert "Traceback" not in done.stderr
