"""The answer to each statement that a worker sends, lost once: it goes on as if nothing had happened."""

from __future__ import annotations

import logging
import os
from itertools import count
from threading import Event

import pytest
from sqlalchemy import func, select

from hpo.service import begin_study, find_study
from hpo.storage import Storage, create_storage, open_storage
from hpo.storage.connection.retry import Retry
from hpo.storage.connection.url import parse_url
from hpo.storage.tables import worker
from hpo.worker import Worker, WorkerOptions
from tests.faults.lossy import lossy
from tests.integration.helpers import make_study, optuna_trials

ARMS = {
    "tpe": {
        "sampler": {"kind": "tpe"},
        "search": {"lr.peak": {"low": 0.01, "high": 0.1}},
        "budget": {"trials": 1},
    }
}

EVERY = int(os.environ.get("HPO_LOST_EVERY", "5"))
"""Of the statements, whose answer is lost in turn; 1 takes some minutes."""

AT_LEAST = 50
"""Statements that a worker sends for the study; how many more depends on how often it looks and renews its lease."""


def run(url: str, name: str) -> None:
    """A worker from its first statement to its last, in this process, with checkpoints that are cut into parts."""
    storage = open_storage(url, Retry(20.0, Event()))
    options = WorkerOptions(device="cpu", checkpoint_seconds=0.0, lease_seconds=1.0)  # a claim may be lost
    Worker(storage, [name], options, Event()).run()
    storage.close()


def check(storage: Storage, url: str, name: str) -> None:
    row, study = find_study(storage, name)
    cells = storage.ledger.cells(row.id)
    assert [("search", "done"), ("confirm", "done")] == [(cell.phase, cell.state) for cell in cells]
    assert sorted(cell.id for cell in cells) == sorted(t.user_attrs["cell"] for t in optuna_trials(url, study))
    curves = storage.ledger.curves(row.id)
    for cell in cells:
        own = [point for point in curves if point.cell_id == cell.id]
        assert [1, 2] == [point.at for point in own]
        assert cell.seconds == pytest.approx(sum(point.seconds for point in own))


def test_every_answer_lost_once(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No cell, trial or epoch is lost or doubled, no worker is noted twice, and no second is counted twice."""
    monkeypatch.setattr("hpo.storage.checkpoints.LARGEST_WHOLE", 100)
    monkeypatch.setattr("hpo.storage.parts.PART", 20_000)
    monkeypatch.setattr("hpo.storage.connection.retry.FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr("hpo.worker.worker.IDLE_SECONDS", 0.05)
    caplog.set_level(logging.ERROR)
    storage, there = open_storage(postgres_url), parse_url(postgres_url)
    with lossy(str(there.host), int(there.port or 5432)) as proxy:
        through = there.set(port=proxy.port).render_as_string(hide_password=False)
        for runs in count(1):
            place, name = EVERY * (runs - 1), f"lost-{runs}"
            begin_study(storage, make_study(ARMS, name, {"epochs": 2}, confirm={"top": 1, "seeds": 1}))
            proxy.begin(lose=place)
            run(through, name)
            check(storage, postgres_url, name)
            if proxy.statements <= place:  # it sent fewer, so none was lost
                break
    assert place > AT_LEAST
    with storage.engine.connect() as connection:
        assert runs == connection.execute(select(func.count()).select_from(worker)).scalar()
        assert runs == connection.execute(select(func.count(worker.c.ended))).scalar()
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    storage.close()


@pytest.mark.slow
def test_every_answer_of_a_launch_lost_once(empty_postgres_url: str) -> None:
    """The tables and a study are made all the same, and once."""
    there = parse_url(empty_postgres_url)
    study = make_study(ARMS)
    with lossy(str(there.host), int(there.port or 5432)) as proxy:
        through = there.set(port=proxy.port).render_as_string(hide_password=False)
        create_storage(through).close()
        storage = create_storage(through, Retry(20.0, Event()))
        proxy.begin(lose=None)
        begin_study(storage, study)
        storage.close()
        for place in range(proxy.statements):
            name = f"lost-{place}"
            storage = create_storage(through, Retry(20.0, Event()))
            proxy.begin(lose=place)
            row = begin_study(storage, study.model_copy(update={"name": name}))
            assert 1 == len(storage.ledger.cells(row.id))
            storage.close()
