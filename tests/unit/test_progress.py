"""How far a study is, as it is shown: every number whole, in every terminal."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from hpo.report.progress import Arms, line
from tests.unit.test_remaining import counts

PROGRESS = [
    counts("a" * 64, planned=1, leased=1, done=9000, failed=12, epochs=1_000_000, best=0.5, seeds=1),
    counts("direction", "confirm", done=5, epochs=60, best=0.9618, seeds=5),
    counts("direction", planned=3),
]


def shown(width: int) -> str:
    console = Console(width=width, record=True, file=StringIO(), color_system=None)
    console.print(Arms(PROGRESS))
    return console.export_text()


@pytest.mark.parametrize("width", [120, 80, 60, 40, 30])
def test_no_number_is_cut(width: int) -> None:
    """Beside the arm's name where there is room, else below it."""
    text = shown(width)
    assert max(cell_len(each.rstrip()) for each in text.splitlines()) <= width
    numbers = re.findall(r"[\d./]+", text)
    assert {"9000/9014", "12", "1000000", "50.00", "5/5", "60", "96.18", "0/3"} <= set(numbers)
    assert "…" not in text


def test_in_a_line() -> None:
    """For logs: failed trials too, and of a mean that it is one."""
    assert "direction confirm 5/5 best 96.18 % (mean of 5 seeds); direction search 0/3" == line(PROGRESS[1:])
    assert line(PROGRESS[:1]).endswith(" search 9000/9014 failed 12 best 50.00 %")
