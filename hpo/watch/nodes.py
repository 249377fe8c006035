"""Who works where: the workers by host, what each holds, and in what they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.report.environments import MATTERS, differ
from hpo.storage import Storage
from hpo.storage.rows import WorkerRow


def table(storage: Storage, workers: Sequence[WorkerRow]) -> RenderableType:
    """One line a worker, by host: its device, since when it is there, and what it holds."""
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column("host", overflow="fold")
    view.add_column("pid", justify="right")
    view.add_column("device", overflow="fold")
    view.add_column("up", justify="right")
    view.add_column("holds", overflow="fold")
    holds = held(storage)
    last = None
    for worker in sorted(workers, key=lambda worker: (worker.host, worker.started)):
        up = str(timedelta(seconds=round(worker.seen - worker.started))) if worker.alive else "gone"
        host = worker.host if worker.host != last else ""
        view.add_row(Text(host), str(worker.pid), Text(_device(worker)), up, Text(holds.get(worker.id, "")))
        last = worker.host
    lines = [*summary([worker for worker in workers if worker.alive]), *troubles(workers)]
    return Group(view, *(Text(line) for line in lines))


def troubles(workers: Sequence[WorkerRow]) -> Iterator[str]:
    """What workers have found that they can't do, and why they have ended."""
    for worker in workers:
        if worker.troubled:
            yield f"{worker.host}, process {worker.pid}: {worker.reason}"


def held(storage: Storage) -> dict[str, str]:
    """Worker -> the trial that it holds, in words."""
    holds = {}
    for row in storage.ledger.studies():
        if not any(arm.leased for arm in storage.ledger.progress(row.id)):
            continue
        for cell in storage.ledger.cells(row.id):
            if cell.state == "leased" and cell.worker:
                holds[cell.worker] = f"{row.name}/{cell.arm}, {cell.phase}, trial {cell.id}, epoch {cell.epochs}"
    return holds


def nodes_json(storage: Storage, workers: Sequence[WorkerRow]) -> list[dict[str, object]]:
    """The workers for programs."""
    holds = held(storage)
    return [asdict(worker) | {"holds": holds.get(worker.id)} for worker in workers]


def summary(alive: Sequence[WorkerRow]) -> Iterator[str]:
    """How many work where, and a warning if they differ in what results depend on."""
    hosts = len({worker.host for worker in alive})
    kinds = Counter(worker.device for worker in alive)
    devices = ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items()))
    yield f"workers alive: {len(alive)}" + (
        f" on {hosts} machine{'s' if hosts > 1 else ''} ({devices})" if alive else ""
    )
    mixed = [key for key in MATTERS if differ(key, alive)]
    if len(kinds) > 1 or mixed:
        yield f"the workers differ in {', '.join([*(['device'] if len(kinds) > 1 else []), *mixed])}"
    for key in ("driver", "commit"):
        if known := sorted({worker.environment.get(key, "") for worker in alive} - {""}):
            yield f"{key}: {', '.join(known)}"


def _device(worker: WorkerRow) -> str:
    gpu = worker.environment.get("gpu")
    return f"{worker.device}, GPU {gpu}" if gpu else worker.device
