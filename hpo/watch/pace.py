"""Workers that are much slower than their equals: other workers on the same device, in trials of the same arm.

A card that throttles, a machine that others use, a disk that is slow: whoever waits for a study wants to know which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from hpo.storage.rows import Cell, WorkerRow

SLOWER = 3.0
"""Times that an epoch may take as long as the median of the others without a word."""
ENOUGH_TRIALS = 3
"""The latest trials by which a worker is judged: what an arm searches may make one of them long, hardly all."""
SHORTEST = 5.0
"""Seconds that these have to have taken: shorter ones say more of the moment than of the worker."""
LOOKED_AT = 24
"""Trials that are looked at for each worker, on average: enough for several arms and phases."""


@dataclass(frozen=True, slots=True)
class SlowWorker:
    """A worker, and the arm in which it falls behind most."""

    host: str
    pid: int
    arm: str
    seconds: float
    """What it takes for an epoch."""
    others_seconds: float
    """The median of the others."""

    @property
    def times(self) -> float:
        return self.seconds / self.others_seconds

    def in_words(self, unit: str) -> str:
        """A line for people."""
        return (
            f"slow: {self.host}, process {self.pid}: {self.seconds:.3g} seconds per {unit} of {self.arm}, others "
            f"on the same kind of device {self.others_seconds:.3g}: {self.times:.1f} times as long"
        )


def slow_workers(trials: Sequence[Cell], workers: Sequence[WorkerRow]) -> list[SlowWorker]:
    """The slow ones of these workers, by the `trials` of one study that each of them has trained alone."""
    paces = _paces(trials)
    found: dict[str, SlowWorker] = {}
    for worker in workers:
        equals = [other.id for other in workers if other.device == worker.device and other.id != worker.id]
        for (arm, _), of_each in paces.items():
            others = [of_each[other] for other in equals if other in of_each]
            if worker.id not in of_each or not others:
                continue
            slow = SlowWorker(worker.host, worker.pid, arm, of_each[worker.id], median(others))
            known = found.get(worker.id)
            if slow.times >= SLOWER and (known is None or slow.times > known.times):
                found[worker.id] = slow
    return list(found.values())


def _paces(trials: Sequence[Cell]) -> dict[tuple[str, str], dict[str, float]]:
    """Arm and phase -> worker -> seconds that an epoch takes it, where it has trained enough of them."""
    of_each: dict[tuple[str, str], dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in sorted(trials, key=lambda cell: cell.started or 0.0, reverse=True):
        if cell.worker is not None and cell.epochs and cell.seconds:
            of_each[cell.arm, cell.phase][cell.worker].append(cell)
    return {key: dict(_known(of_workers)) for key, of_workers in of_each.items()}


def _known(of_workers: dict[str, list[Cell]]) -> Iterator[tuple[str, float]]:
    for worker, cells in of_workers.items():
        latest = cells[:ENOUGH_TRIALS]
        seconds = sum(cell.seconds for cell in latest)
        if len(latest) == ENOUGH_TRIALS and seconds >= SHORTEST:
            yield worker, median(cell.seconds / cell.epochs for cell in latest)
