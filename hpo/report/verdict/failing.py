"""Trials that have failed: how many, why, where, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpo.errors import HpoError, WorkLeft
from hpo.storage.rows import Cell, StudyRow
from hpo.words.failure import cause, if_the_file_was_wrong, what_to_do
from hpo.words.nouns import count

SHOWN_CAUSES = 2
"""Causes that are told of an arm's phase; of more, their number is told."""


def why(cell: Cell) -> str:
    """Why a cell has failed, in one line."""
    return cell.reason or cause(cell.error or "")


def failed(cells: Sequence[Cell]) -> list[Cell]:
    """Those that were set aside."""
    return [cell for cell in cells if cell.state == "failed"]


def failed_trials(study: str, cells: Sequence[Cell], stopped_early: str | None = None) -> Iterator[str]:
    """Why the study was given up, a line for each arm and phase in which trials have failed, and what to do."""
    if stopped_early:
        yield f"the study was stopped early: {stopped_early}"
    phases = dict.fromkeys((cell.arm, cell.phase) for cell in failed(cells))
    for arm, phase in phases:
        own = [cell for cell in cells if (cell.arm, cell.phase) == (arm, phase)]
        yield f"{arm}: {phase} phase, {how_many(own)} failed: {causes(own)}"
    if phases or stopped_early:
        yield what_to_do(study)


def how_many(cells: Sequence[Cell]) -> str:
    """`3 of 12 trials`."""
    return f"{len(failed(cells))} of {count(len(cells), 'trial')}"


def causes(cells: Sequence[Cell]) -> str:
    """Why they failed, the most frequent cause first."""
    found = Counter(why(cell) for cell in failed(cells))
    shown = [
        text if len(found) == 1 else f"{text} ({count(number, 'time')})"
        for text, number in found.most_common(SHOWN_CAUSES)
    ]
    more = len(found) - len(shown)
    return "; ".join([*shown, *([f"and {count(more, 'other cause')}"] if more else [])])


def trials_failed(study: str, cells: Sequence[Cell], logs: Path) -> HpoError | None:
    """The last words on a study that has run to its end, if trials have failed."""
    if not failed(cells):
        return None
    return HpoError(
        f"{how_many(cells)} failed: {causes(cells)}",
        hint=_what_to_do_here(study, logs),
    )


def not_done(row: StudyRow, logs: Path) -> HpoError:
    """The last words on a study that has not run to its end, though nobody has interrupted it here."""
    if row.state == "failed":
        return HpoError(
            f"{row.name} has failed: {row.reason}",
            hint=_what_to_do_here(row.name, logs),
        )
    return WorkLeft(
        f"{row.name} is stopped", hint=f"resume it with hpo resume {row.name}, then give the same command again"
    )


def _what_to_do_here(study: str, logs: Path) -> str:
    """What to do on the machine that ran the study, where the command that did is still to be given again."""
    again = f"logs: {logs}; fix the cause, then: hpo retry {study}, and give the same command again"
    return f"{again}; {if_the_file_was_wrong(study)}"
