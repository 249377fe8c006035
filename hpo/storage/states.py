"""The states of studies and cells, by name; a type checker refuses any other."""

from __future__ import annotations

from typing import Literal

StudyState = Literal["running", "stopped", "failed", "finished"]
CellState = Literal["planned", "leased", "done", "failed", "withdrawn"]
Ending = Literal["finished", "pruned", "diverged"]
"""How the trial of a cell that is done has ended."""
Phase = Literal["search", "audit", "confirm"]

SEARCH: Phase = "search"
AUDIT: Phase = "audit"
CONFIRM: Phase = "confirm"

OPEN: tuple[CellState, ...] = ("planned", "leased")
"""The states of cells that are still to be run, or run now."""
ENDED: tuple[CellState, ...] = ("done", "failed")
WITHDRAWN: CellState = "withdrawn"
"""The state of a cell that follows from its arm's search no more: neither open nor part of the result."""
