"""How far a study is: for people who watch it, and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.report.nodes import summary
from hpo.space import merge
from hpo.storage import Storage
from hpo.storage.rows import ArmProgress, StudyRow

SHOWN_ERRORS = 3


def table(progress: Sequence[ArmProgress]) -> RenderableType:
    """One line an arm and phase: a bar, counts, epochs, the best validation accuracy so far. Fits 80 columns."""
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column("arm", overflow="fold", max_width=24)
    view.add_column("phase")
    view.add_column("")
    for name in ("done", "failed", "epochs", "best"):
        view.add_column(name, justify="right")
    for arm in progress:
        total = arm.planned + arm.leased + arm.done + arm.failed
        best = "" if arm.best is None else f"{100 * arm.best:.2f} %"
        view.add_row(
            Text(arm.arm),
            arm.phase,
            ProgressBar(total=total, completed=arm.done + arm.failed, width=14),
            f"{arm.done}/{total}",
            str(arm.failed) if arm.failed else "",
            str(arm.epochs),
            best,
        )
    return view


def line(progress: Sequence[ArmProgress]) -> str:
    """The same in one line, for logs."""
    parts = []
    for arm in progress:
        total = arm.planned + arm.leased + arm.done + arm.failed
        best = "" if arm.best is None else f" best {100 * arm.best:.2f} %"
        parts.append(f"{arm.arm} {arm.phase} {arm.done}/{total}{best}")
    return "; ".join(parts)


def status(storage: Storage, name: str | None) -> RenderableType:
    """How far the study called `name` is, or every study of the storage; and its workers."""
    workers = [worker for worker in storage.ledger.workers() if worker.alive]
    views: list[RenderableType] = []
    for row in _rows(storage, name):
        progress = storage.ledger.progress(row.id)
        state = row.state if any(arm.planned or arm.leased for arm in progress) else "nothing left to run"
        views += [Text(f"{row.name}: {state}", style="bold"), table(progress)]
        for cell in storage.ledger.errors(row.id, SHOWN_ERRORS):
            reason = (cell.error or "").strip().splitlines()[-1:]
            views.append(Text(f"failed: {cell.arm}, {cell.phase}, cell {cell.id}: {''.join(reason)}"))
        if stale := sum(arm.stale for arm in progress):
            views.append(Text(f"stale leases: {stale}, free for the next worker that claims"))
        if left := _seconds_left(row, progress, len(workers)):
            views.append(Text(f"time left for what is planned: about {timedelta(seconds=round(left))}"))
        views.append(Text())
    views += [Text(line) for line in summary(workers)]
    return Group(*views)


def status_json(storage: Storage, name: str | None) -> dict[str, object]:
    """The same for programs."""
    studies = [
        {"name": row.name, "state": row.state, "arms": [asdict(arm) for arm in storage.ledger.progress(row.id)]}
        for row in _rows(storage, name)
    ]
    return {"studies": studies, "workers": [asdict(worker) for worker in storage.ledger.workers() if worker.alive]}


def anything_open(storage: Storage, name: str | None) -> bool:
    """Whether cells are planned or in progress."""
    return any(arm.planned or arm.leased for row in _rows(storage, name) for arm in storage.ledger.progress(row.id))


def _rows(storage: Storage, name: str | None) -> list[StudyRow]:
    return storage.ledger.studies() if name is None else [storage.ledger.study(name)]


def _seconds_left(row: StudyRow, progress: Sequence[ArmProgress], workers: int) -> float | None:
    """Until the cells planned so far are done, from what an epoch took until now; None if nothing is known."""
    spent = sum(arm.epochs for arm in progress)
    if spent == 0 or workers == 0 or row.state != "running":
        return None
    spec = json.loads(row.spec)  # without the model of a trial, whose parts are slow to import
    epochs = {name: merge(spec["trial"], arm["trial"])["epochs"] for name, arm in spec["arms"].items()}
    left = sum((arm.planned + arm.leased) * epochs[arm.arm] for arm in progress)
    return float(left * sum(arm.seconds for arm in progress) / spent / workers)
