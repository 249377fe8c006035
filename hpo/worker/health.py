"""What a worker has found that it can't do, and whose fault a failure is: the trial's, the study's or the machine's.

An attempt should say something about the trial. So a cell is set aside only after it has failed on two workers, or on
one that has finished a trial of the study since, or where there is no other worker. A worker on which trials raise
before their first epoch, while others train theirs, is sick and ends; and when all first trials of a study raise the
same exception, on whatever worker, it is the study that is stopped, before it has burned all its cells.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

LEFT_OUT_SECONDS = 300.0
"""How long a worker leaves out a study that it can't train, or a cell that others should try."""
IN_A_ROW = 3
"""So many trials that raise before an epoch, one after the other, are no accident."""


@dataclass
class _OfStudy:
    """What this worker has seen of one study."""

    raised: dict[int, float] = field(default_factory=dict)
    """Cell -> when it first raised here."""
    in_a_row: dict[int, str] = field(default_factory=dict)
    """Cell -> why it raised; of those that did one after the other, without an epoch between."""
    finished_at: float | None = None
    """When the last trial ended here as it should."""


class Health:
    """This worker's experience, study by study (by uuid)."""

    def __init__(self) -> None:
        self.device_failures = 0
        """Trials in a row that the device has failed."""
        self._studies: dict[str, _OfStudy] = {}
        self._left_out: dict[str, tuple[Exception, float]] = {}
        self._left_to_others: dict[int, float] = {}

    # Studies that can't be trained here

    def leave_out(self, study: str, error: Exception) -> None:
        """Claim nothing of the study for a while: this worker can't train it, because of `error`."""
        self._left_out[study] = error, time.monotonic() + LEFT_OUT_SECONDS

    def left_out(self) -> dict[str, Exception]:
        """The studies that are left out now, and why."""
        now = time.monotonic()
        return {study: error for study, (error, until) in self._left_out.items() if until > now}

    # Trials that end

    def epoch_trained(self, study: str) -> None:
        """A trial of the study has come to the end of an epoch."""
        self._of(study).in_a_row.clear()
        self.device_failures = 0

    def finished(self, study: str, cell: int) -> None:
        """A trial of the study has ended as it should."""
        known = self._of(study)
        known.finished_at = time.monotonic()
        known.raised.pop(cell, None)

    def raised(self, study: str, cell: int, reason: str) -> None:
        """A trial of the study has raised."""
        known = self._of(study)
        known.raised.setdefault(cell, time.monotonic())
        known.in_a_row[cell] = reason

    def in_a_row(self, study: str) -> list[str]:
        """Why trials of the study raised here one after the other, if they are too many for an accident."""
        reasons = list(self._of(study).in_a_row.values())
        return reasons if len(reasons) >= IN_A_ROW else []

    def has_finished_one_since(self, study: str, cell: int) -> bool:
        """Whether a trial of the study has ended here as it should after this cell had raised for the first time."""
        known = self._of(study)
        first = known.raised.get(cell)
        return first is not None and known.finished_at is not None and known.finished_at > first

    # Cells that have raised here

    def passed_over(self) -> list[int]:
        """Cells that have raised here: others come first."""
        return [cell for known in self._studies.values() for cell in known.raised]

    def leave_to_others(self, cell: int) -> None:
        """Don't claim the cell for a while: another worker should try it."""
        self._left_to_others[cell] = time.monotonic() + LEFT_OUT_SECONDS

    def left_to_others(self) -> list[int]:
        """The cells that are left to others now."""
        now = time.monotonic()
        return [cell for cell, until in self._left_to_others.items() if until > now]

    def has_left_to_others(self, cell: int) -> bool:
        """Whether others have had the time to try the cell."""
        return self._left_to_others.get(cell, math.inf) <= time.monotonic()

    def _of(self, study: str) -> _OfStudy:
        return self._studies.setdefault(study, _OfStudy())
