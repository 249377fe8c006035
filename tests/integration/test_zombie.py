"""A worker that is paused for longer than its lease, as by a suspended machine."""

from __future__ import annotations

import signal

from hpo.service import begin_study
from hpo.storage import Storage
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


def test_paused_beyond_its_lease(storage: Storage, postgres_url: str, crew: Crew, gate: Gate) -> None:
    """What another has finished meanwhile stays untouched: the worker drops it and goes on with other work."""
    study, later = make_study(trial=gate.trial), make_study(name="later")
    row = begin_study(storage, study)
    crew.start(2)
    paused, before = holder_after(storage, crew, row, epochs=2)
    paused.process.send_signal(signal.SIGSTOP)
    gate.open()
    wait_until(lambda: the_cell(storage, row).state == "done")
    done, curve = the_cell(storage, row), storage.ledger.curves(row.id)
    assert before.worker != done.worker
    assert undisturbed_curve(study, done) == stored_curve(storage, row, done)
    (other,) = [worker for worker in crew.workers if worker is not paused]
    wait_until(lambda: other.process.poll() is not None)

    begin_study(storage, later)
    paused.process.send_signal(signal.SIGCONT)
    (cell,) = check_study(postgres_url, later.name, crew)
    assert before.worker == cell.worker
    assert "dropped" in paused.log.read_text()
    assert [done] == check_study(postgres_url, study.name, crew)
    assert curve == storage.ledger.curves(row.id)
