"""Many workers, one grid: every cell is run exactly once, whoever is killed."""

from __future__ import annotations

import random

import pytest

from hpo.launch.local import LocalWorker
from hpo.service import begin_study, is_done
from hpo.storage import Storage
from hpo.storage.rows import Cell
from tests.integration.helpers import (
    Crew,
    check_study,
    held_cells,
    make_study,
    stored_curve,
    undisturbed_curve,
    wait_until,
)

GRID = {
    "grid": {
        "search": {
            "lr.peak": {"values": [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]},
            "regularizers.l2.strength": {"values": [0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]},
        }
    }
}
WORKERS, CELLS, KILLS = 8, 36, 6


def check_grid(cells: list[Cell]) -> None:
    """All points of the grid, each once, and all of them run to their end."""
    points = {repr(cell.params) for cell in cells}
    assert (CELLS, CELLS) == (len(cells), len(points))
    assert {"finished"} == {cell.ended for cell in cells}


@pytest.mark.slow
def test_eight_workers_that_begin_at_once(storage: Storage, postgres_url: str, crew: Crew) -> None:
    """36 cells, 36 trials: none twice, none missing, though eight workers reach for the first cell together."""
    study = make_study(GRID)
    workers = crew.start(WORKERS, forever=True)
    wait_until(lambda: len(storage.ledger.workers()) == WORKERS)
    row = begin_study(storage, study)
    wait_until(lambda: is_done(storage, row, study))
    for worker in workers:
        worker.process.terminate()
    cells = check_study(postgres_url, study.name, crew)
    check_grid(cells)
    assert {1} == {cell.claims for cell in cells}
    assert 1 < len({cell.worker for cell in cells})


def test_workers_killed_at_random(storage: Storage, postgres_url: str, crew: Crew) -> None:
    """The same 36 trials, with the curves of a run that nothing disturbs, while workers are killed in their work."""
    study = make_study(GRID, trial={"epochs": 5, "batch_size": 4}, attempts=KILLS + 1)
    row = begin_study(storage, study)
    crew.start(3, study.name)
    chance, killed = random.Random(1), 0

    def victims() -> list[tuple[LocalWorker, Cell]]:
        """Workers with a cell in work, once there has been progress since the last kill."""
        done = sum(arm.done for arm in storage.ledger.progress(row.id))
        return held_cells(storage, crew, row) if done >= 3 * killed else []

    while killed < KILLS:
        victim, cell = chance.choice(wait_until(victims))
        victim.process.kill()
        victim.process.wait()
        crew.start(1, study.name)
        left = next(after for after in storage.ledger.cells(row.id) if after.id == cell.id)
        killed += left.state == "leased" and left.worker == cell.worker
    cells = check_study(postgres_url, study.name, crew)
    check_grid(cells)
    assert KILLS <= sum(cell.claims - 1 for cell in cells)
    for cell in cells:
        assert undisturbed_curve(study, cell) == stored_curve(storage, row, cell)
