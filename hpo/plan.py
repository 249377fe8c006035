"""From a study to its cells: what must be run, and what follows from what has been run.

Pure functions of (study, cells); `advance` alone touches the storage. The search phase comes first, arm by arm within
its budget; when an arm has spent it, the arm's best configurations are planned again with fresh seeds (confirm phase).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from hpo.checks.budgets import MOST_CELLS, ArmPlan, arm_plans
from hpo.checks.limits import CONFIRM_SEEDS
from hpo.parameters import grid
from hpo.search import Grid
from hpo.space import Params
from hpo.storage import Storage
from hpo.storage.rows import Cell, PlannedCell, StudyRow
from hpo.study import StudySpec

SEARCH, AUDIT, CONFIRM = "search", "audit", "confirm"


def spent_alike(study: StudySpec, spent: Mapping[str, int]) -> bool:
    """Whether all arms have the same budget, and each has `spent` it but for epochs that are less than a trial."""
    plans = arm_plans(study)
    same = len({plan.budget_epochs for plan in plans}) == 1
    return same and all(0 <= plan.budget_epochs - spent[plan.arm] < plan.epochs for plan in plans)


def first_cells(study: StudySpec) -> list[PlannedCell]:
    """The search phase's cells, the arms taking turns so that all of them advance together."""
    rows = {plan.arm: list(islice(_slots(study, plan.arm), plan.cells)) for plan in arm_plans(study)}
    longest = max(len(cells) for cells in rows.values())
    return [cells[turn] for turn in range(longest) for cells in rows.values() if turn < len(cells)]


def next_cells(study: StudySpec, cells: Sequence[Cell]) -> list[PlannedCell]:
    """What to plan beside `cells`: trials for the epochs that pruning saved, then the confirm phase of an arm."""
    more: list[PlannedCell] = []
    for plan in arm_plans(study):
        searched = [cell for cell in cells if cell.arm == plan.arm and cell.phase == SEARCH]
        extra = _saved_by_pruning(study, plan, searched)
        if extra:
            more += islice(_slots(study, plan.arm), len(searched), len(searched) + extra)
        elif all(cell.state in ("done", "failed") for cell in searched):
            planned = {cell.phase for cell in cells if cell.arm == plan.arm}
            more += [] if CONFIRM in planned else _confirm_cells(study, plan.arm, searched)
            more += [] if AUDIT in planned else _audit_cells(study, plan.arm, searched)
    return more


def advance(storage: Storage, row: StudyRow, study: StudySpec) -> int:
    """Plan what follows from the cells done so far; returns how many cells were added. Any process may call it."""
    # Without any cells, the study has just been deleted.
    return storage.ledger.plan(row.id, lambda cells: next_cells(study, cells) if cells else [])


@dataclass(frozen=True, slots=True)
class Configuration:
    """A point of an arm's search space with what the search phase measured of it."""

    params: Params
    score: float
    """Mean validation accuracy over its repeats."""
    cells: tuple[Cell, ...]


def ranking(cells: Sequence[Cell]) -> list[Configuration]:
    """An arm's configurations by their search-phase score, best first.

    A configuration competes if a repeat ran to its end and none was pruned; a repeat that diverged counts as 0.
    """
    by_point: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.phase == SEARCH and cell.state == "done" and cell.params is not None:
            by_point[repr(sorted(cell.params.items()))].append(cell)
    configurations = [
        Configuration(same[0].params or {}, fmean(cell.score or 0.0 for cell in same), tuple(same))
        for same in by_point.values()
        if {"finished"} <= {cell.ended for cell in same} <= {"finished", "diverged"}
    ]
    return sorted(configurations, key=lambda configuration: -configuration.score)


def _slots(study: StudySpec, arm: str) -> Iterator[PlannedCell]:
    """The arm's search cells in order: its grid points with every seed, or open slots for proposals without end."""
    spec, seed = study.arms[arm], study.protocol.seed
    if isinstance(spec.sampler, Grid):
        for slot, params in enumerate(grid(spec.search)):
            for repeat in range(study.protocol.repeats):
                yield PlannedCell(arm, SEARCH, slot, seed + repeat, params)
    else:
        for slot in range(MOST_CELLS):
            yield PlannedCell(arm, SEARCH, slot, seed, None)


def _saved_by_pruning(study: StudySpec, plan: ArmPlan, searched: Sequence[Cell]) -> int:
    """How many further trials fit into what is left of an epoch budget."""
    spec = study.arms[plan.arm]
    budget = spec.budget or study.protocol.budget
    if isinstance(spec.sampler, Grid) or (budget is not None and budget.epochs is None):
        return 0
    spent = sum(cell.epochs if cell.state == "done" else plan.epochs for cell in searched)
    return max(0, min((plan.budget_epochs - spent) // plan.epochs, MOST_CELLS - len(searched)))


def _audit_cells(study: StudySpec, arm: str, searched: Sequence[Cell]) -> list[PlannedCell]:
    """Pruned trials, chosen evenly over the search, to be run to their end with the same seed."""
    pruned = [cell for cell in searched if cell.ended == "pruned"]
    count = min(study.protocol.audit, len(pruned))
    chosen = [pruned[index * len(pruned) // count] for index in range(count)]
    return [PlannedCell(arm, AUDIT, cell.slot, cell.seed, cell.params) for cell in chosen]


def _confirm_cells(study: StudySpec, arm: str, searched: Sequence[Cell]) -> list[PlannedCell]:
    confirm = study.protocol.confirm
    if confirm is None:
        return []
    best = ranking(searched)[: confirm.top]
    return [
        PlannedCell(arm, CONFIRM, rank, study.protocol.seed + CONFIRM_SEEDS + index, configuration.params)
        for index in range(confirm.seeds)
        for rank, configuration in enumerate(best)
    ]
