"""Trials that have failed: how many, why, where, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from hpo.failure import cause
from hpo.report.numbers import count
from hpo.storage.rows import Cell

SHOWN_CAUSES = 2
"""Of an arm's phase; of more, their number is told."""


def why(cell: Cell) -> str:
    """Why a cell has failed, in one line."""
    return getattr(cell, "reason", None) or cause(cell.error or "")


def failed(cells: Sequence[Cell]) -> list[Cell]:
    """Those that were set aside."""
    return [cell for cell in cells if cell.state == "failed"]


def failed_trials(study: str, cells: Sequence[Cell]) -> Iterator[str]:
    """A line for each arm and phase in which trials have failed, and then what to do."""
    phases = dict.fromkeys((cell.arm, cell.phase) for cell in failed(cells))
    for arm, phase in phases:
        own = [cell for cell in cells if (cell.arm, cell.phase) == (arm, phase)]
        yield f"{arm}: {phase} phase, {how_many(own)} failed: {causes(own)}"
    if phases:
        yield f"mend the cause, then: hpo retry {study}"


def how_many(cells: Sequence[Cell]) -> str:
    """`3 of 12 trials`."""
    return f"{len(failed(cells))} of {count(len(cells), 'trial')}"


def causes(cells: Sequence[Cell]) -> str:
    """Why they failed, the most frequent cause first."""
    found = Counter(why(cell) for cell in failed(cells))
    shown = [
        text if len(found) == 1 else f"{text} ({number} times)" for text, number in found.most_common(SHOWN_CAUSES)
    ]
    more = len(found) - len(shown)
    return "; ".join([*shown, *([f"and {count(more, 'other cause')}"] if more else [])])
