"""`hpo status` names a worker that is much slower than its equals, from what the database holds."""

from __future__ import annotations

import json

from click.testing import CliRunner

from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import open_storage
from hpo.trainers.trainer import Evaluation
from tests.integration.helpers import make_study

PEAKS = [0.01 * number for number in range(1, 12)]
SECONDS = {"swift": 2.0, "usual": 2.0, "throttled": 8.0}


def test_a_slow_worker_is_named(storage_url: str) -> None:
    """For people and for programs; a trial that has changed hands says nothing of who holds it now."""
    storage = open_storage(storage_url)
    begin_study(storage, make_study({"grid": {"search": {"lr.peak": {"values": PEAKS}}}}))
    for pid, (worker, seconds) in enumerate(SECONDS.items()):
        storage.ledger.register(worker, worker, pid, "H100", {})
        for _ in range(3):
            lease = storage.ledger.claim(worker, 60.0)
            assert lease is not None
            storage.ledger.record(lease, [Evaluation(1, seconds, {"validation_accuracy": 0.5})], 60.0)
    for worker in ("swift", "usual", "swift", "usual"):
        handed_on = storage.ledger.claim(worker, 60.0)
        assert handed_on is not None
        storage.ledger.record(handed_on, [Evaluation(1, 100.0, {"validation_accuracy": 0.5})], 60.0)
        if worker == "swift":
            storage.ledger.release(handed_on)
    storage.close()

    def said(*options: str) -> str:
        done = CliRunner().invoke(cli, ["status", *options], env={"HPO_STORAGE": storage_url, "COLUMNS": "200"})
        assert 0 == done.exit_code, done.output
        return done.stdout

    slow = [line for line in said().splitlines() if line.startswith("slow: ")]
    assert ["slow: throttled, process 2: 8 seconds per epoch of grid, others on the same kind of device 2: "] == [
        line.removesuffix("4.0 times as long") for line in slow
    ]
    (study,) = json.loads(said("--json"))["studies"]
    assert [{"host": "throttled", "pid": 2, "arm": "grid", "seconds": 8.0, "others_seconds": 2.0}] == (
        study["slow_workers"]
    )
