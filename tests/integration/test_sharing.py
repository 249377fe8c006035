"""Trials that begin alike train what they have in common once, and end as if each had trained all of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from hpo.service import begin_study, findings
from hpo.storage import Storage, create_storage
from hpo.storage.rows import Cell, StudyRow
from hpo.storage.tables import fork
from hpo.study import StudySpec
from tests.integration.helpers import Crew, check_study, make_study, stored_curve, work_here

ZEROS = {"kind": "sparse_gradient", "strength": 0.0}
TRIAL: dict[str, Any] = {
    "epochs": 9,
    # Table 1 of "Adapting Regularization with Learning Rate …", a fiftieth and a twentieth as long: 5, 2 and 2 epochs.
    "lr": {
        "kind": "restarts",
        "of": {"kind": "stages", "peak": 0.1, "factors": [1.0, 0.1, 0.01, 1e-3, 1e-4]},
        "epochs": [5, 2, 2],
    },
    "regularizers": {
        "l2": {"kind": "l2", "strength": 1e-4, "policy": {"kind": "hold"}},
        "zeros": ZEROS,
    },
}


def scheme(**regularizers: dict[str, Any]) -> dict[str, Any]:
    return {"trial": {"regularizers": regularizers}}


def decay(*factors: float) -> dict[str, Any]:
    """Weight decay by the learning rate."""
    table = [[0.01, 1.0], [0.001, factors[0]], [0.0001, factors[1]]]
    return {"policy": {"kind": "follows_lr", "table": table}}


def zeros(share: float) -> dict[str, Any]:
    """Zeros in the gradient from the third epoch on, in the first phase alone."""
    policy = {"kind": "replay", "strengths": [0.0, 0.0, share, share, share, 0.0]}
    return {"kind": "sparse_gradient", "strength": share, "policy": policy}


SCHEMES = {
    "scheme_01": scheme(l2=decay(8.0, 16.0)),
    "scheme_02": scheme(l2=decay(4.0, 8.0)),
    "scheme_21": scheme(zeros=zeros(0.5)),
    "scheme_22": scheme(zeros=zeros(0.8)),
    "scheme_23": scheme(zeros=zeros(0.3)),
}


def schemes(name: str, **protocol: Any) -> StudySpec:
    """The five schemes, which share their first two epochs of nine."""
    return make_study(SCHEMES, name, TRIAL, **protocol)


def trained(storage: Storage, spec: StudySpec) -> tuple[StudyRow, list[Cell]]:
    """The cells of a study after one worker has done it."""
    row = begin_study(storage, spec)
    work_here(storage)
    return row, storage.ledger.cells(row.id)


def shared_epochs(cells: list[Cell]) -> int:
    return sum(cell.leader_epochs or 0 for cell in cells)


def test_five_schemes(storage_url: str) -> None:
    """17.8 % of the epochs are trained once instead of five times; every curve is the same, bit for bit."""
    storage = create_storage(storage_url)
    confirm = {"top": 1, "seeds": 2}
    apart_row, apart = trained(storage, schemes("apart", confirm=confirm))
    row, cells = trained(storage, schemes("shared", confirm=confirm, share_prefixes=True))

    assert (0, 3 * 4 * 2) == (shared_epochs(apart), shared_epochs(cells))
    assert pytest.approx(0.178, abs=1e-3) == shared_epochs(cells) / sum(cell.epochs for cell in cells)
    known = {(cell.arm, cell.phase, cell.seed): cell for cell in apart}
    for cell in cells:
        twin = known[cell.arm, cell.phase, cell.seed]
        assert stored_curve(storage, apart_row, twin) == stored_curve(storage, row, cell)
        assert (twin.score, twin.metrics) == (cell.score, cell.metrics)
    with storage.engine.connect() as connection:
        assert 0 == connection.execute(select(func.count()).select_from(fork)).scalar()
    assert "Of all epochs 24 (17.8%) were taken over" in findings(storage, "shared").report.compute
    assert "taken over" not in findings(storage, "apart").report.compute
    storage.close()


def test_workers_killed_while_others_wait(postgres_url: str, crew: Crew) -> None:
    """Four workers, one of them killed in the middle: every cell is trained, and none for longer than it should be."""
    storage = create_storage(postgres_url)
    spec = schemes("crowd", share_prefixes=True, confirm={"top": 1, "seeds": 1})
    row = begin_study(storage, spec)
    workers = crew.start(4)
    workers[0].process.kill()
    cells = check_study(postgres_url, "crowd", crew)
    assert 10 == len(cells)
    assert all(cell.leader_epochs in (None, 2) for cell in cells)
    assert shared_epochs([cell for cell in cells if cell.phase == "search"]) == 8
    apart_row, apart = trained(storage, schemes("apart", confirm={"top": 1, "seeds": 1}))
    for cell, twin in zip(sorted(cells, key=_key), sorted(apart, key=_key), strict=True):
        assert stored_curve(storage, apart_row, twin) == stored_curve(storage, row, cell)
    storage.close()


def _key(cell: Cell) -> tuple[str, str, int]:
    return cell.arm, cell.phase, cell.seed
