"""How far a study is, in a line for logs."""

from __future__ import annotations

from hpo.trainers.images.reported import OBJECTIVE
from hpo.watch.progress import line
from tests.unit.test_remaining import counts

PROGRESS = [
    counts("a" * 64, planned=1, leased=1, done=9000, failed=12, epochs=1_000_000, best=0.5, seeds=1),
    counts("direction", "confirm", done=5, epochs=60, best=0.9618, seeds=5),
    counts("direction", planned=3),
]


def test_in_a_line() -> None:
    """Failed trials too, and of a mean that it is one."""
    assert "direction confirm 5/5 best 96.18 % (mean of 5 seeds); direction search 0/3" == line(PROGRESS[1:], OBJECTIVE)
    assert line(PROGRESS[:1], OBJECTIVE).endswith(" search 9000/9014 failed 12 best 50.00 %")
