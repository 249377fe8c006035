"""A worker that is much slower than its equals is found, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.storage.rows import Cell, WorkerRow
from hpo.watch.pace import slow_workers
from tests.unit.report_samples import cell

DEVICES = {"a": "H100", "b": "H100", "c": "H100", "d": "CPU"}
WORKERS = [
    WorkerRow(name, f"host-{name}", number, device, {}, 0.0, 1.0, None, None, True, False)
    for number, (name, device) in enumerate(DEVICES.items())
]


def trials(worker: str, *paces: float, arm: str = "fading", **fields: Any) -> list[Cell]:
    """Trials of two epochs, one after the other, of which each epoch took so many seconds."""
    return [
        cell(arm, "search", slot, worker=worker, seconds=2 * pace, started=float(slot), **fields)
        for slot, pace in enumerate(paces)
    ]


FAST = [*trials("a", 2.0, 2.0, 2.0), *trials("b", 3.0, 2.5, 2.0)]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (trials("c", 9.0, 9.0, 9.0), [("host-c", "fading", 9.0, 2.25)]),
        (trials("c", 2.0, 2.0, 2.0, 9.0, 9.0, 9.0), [("host-c", "fading", 9.0, 2.25)]),
        (trials("c", 9.0, 9.0, 9.0, 2.0, 2.0, 2.0), []),
        (trials("c", 6.0, 6.0, 6.0), []),
        (trials("c", 2.0, 90.0, 2.0), []),
        (trials("c", 9.0, 9.0), []),
        (trials("d", 9.0, 9.0, 9.0), []),
        (trials("c", 9.0, 9.0, 9.0, arm="fixed"), []),
        (trials("c", 9.0, 9.0, 9.0, state="leased"), [("host-c", "fading", 9.0, 2.25)]),
        (trials("gone", 9.0, 9.0, 9.0), []),
    ],
    ids=[
        "slow",
        "slow since lately",
        "slow no more",
        "less than three times",
        "one long trial",
        "too few trials",
        "another device",
        "nobody else in its arm",
        "in work",
        "a worker that is gone",
    ],
)
def test_who_is_slow(own: list[Cell], expected: list[tuple[str, str, float, float]]) -> None:
    """By its latest three trials, beside those of others on the same device in the same arm."""
    found = slow_workers([*FAST, *own], WORKERS)
    assert expected == [(slow.host, slow.arm, slow.seconds, slow.others_seconds) for slow in found]


def test_moments_say_nothing() -> None:
    """Trials of a second are not compared."""
    brief = [*trials("a", 0.01, 0.01, 0.01), *trials("c", 0.1, 0.1, 0.1)]
    assert [] == slow_workers(brief, WORKERS)
    long = [*trials("a", 1.0, 1.0, 1.0), *trials("c", 10.0, 10.0, 10.0)]
    assert 1 == len(slow_workers(long, WORKERS))


def test_told_once_in_plain_words() -> None:
    """Which worker, and how much slower, in the arm where it is slowest."""
    fixed = [*trials("a", 1.0, 1.0, 1.0, arm="fixed"), *trials("c", 12.0, 12.0, 12.0, arm="fixed")]
    (slow,) = slow_workers([*FAST, *trials("c", 9.0, 9.0, 9.0), *fixed], WORKERS)
    assert slow.in_words("epoch") == (
        "slow: host-c, process 2: 12 seconds per epoch of fixed, others on the same kind of device 1: "
        "12.0 times as long"
    )
