"""Which cells of a study are part of its result."""

from __future__ import annotations

from collections.abc import Iterable

from hpo.plan import changes
from hpo.storage.rows import Cell
from hpo.storage.states import WITHDRAWN
from hpo.study import StudySpec


def reported(study: StudySpec, cells: Iterable[Cell]) -> list[Cell]:
    """The cells that are part of the result: without those that follow from their search no more."""
    cells = list(cells)
    unneeded = {cell.id for cell in changes(study, cells).unneeded}
    return [cell for cell in cells if cell.state != WITHDRAWN and cell.id not in unneeded]
