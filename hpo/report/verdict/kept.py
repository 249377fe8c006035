"""Which cells of a study are part of its result."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.plan import changes
from hpo.storage.rows import Cell, PlanChanges
from hpo.storage.states import WITHDRAWN
from hpo.study import StudySpec


def reported(study: StudySpec, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that are part of the result: without those that follow from their search no more."""
    return kept(cells, changes(study, cells))


def kept(cells: Sequence[Cell], changes: PlanChanges) -> list[Cell]:
    """The cells that are part of the result, where it is known what is to change in the plan."""
    unneeded = {cell.id for cell in changes.unneeded}
    return [cell for cell in cells if cell.state != WITHDRAWN and cell.id not in unneeded]
