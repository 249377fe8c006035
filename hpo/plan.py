"""The plan, from a study to its cells: what must be run, and what follows from what has been run.

Pure functions of (study, cells); `advance` alone touches the storage. Every arm searches once or several times, each
time within its budget; when a search has spent it, its best configurations are planned again with fresh seeds (confirm
phase).

What is planned after a search is a function of the search's results alone. A search that is opened again, since
failed trials are tried once more, may end with another choice: until it ends, the cells that followed from it are
withdrawn, and then those that still follow from it are restored, as far as they had come. So it makes no difference
whether a failed trial is mended before the confirm phase or after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice

from hpo.evidence.design import confirm_seeds
from hpo.evidence.ranking import Configuration, point, ranking
from hpo.search.parameters import grid
from hpo.storage import Storage
from hpo.storage.rows import ArmProgress, Cell, PlanChanges, PlannedCell, StudyRow, first_slot
from hpo.storage.states import AUDIT, CONFIRM, SEARCH, WITHDRAWN
from hpo.study import StudySpec
from hpo.study.checks.budgets import MOST_CELLS, ArmPlan, arm_plans


def spent_alike(study: StudySpec, spent: Mapping[str, int]) -> bool:
    """Whether all arms of a setting have the same budget, and each has `spent` it but for epochs that are less than a
    trial of each search."""
    plans, searches = arm_plans(study), study.protocol.searches
    budgets = {(study.arms[plan.arm].setting, plan.budget_epochs) for plan in plans}
    same = len(budgets) == len({setting for setting, _ in budgets})
    return same and all(0 <= plan.budget_epochs * searches - spent[plan.arm] < plan.epochs * searches for plan in plans)


def first_cells(study: StudySpec) -> list[PlannedCell]:
    """The search phase's cells: one search after the other, the arms taking turns so that all advance together."""
    planned: list[PlannedCell] = []
    for search in study.protocol.all_searches:
        rows = [list(islice(_slots(study, plan.arm, search), plan.cells)) for plan in arm_plans(study)]
        longest = max(len(cells) for cells in rows)
        planned += [cells[turn] for turn in range(longest) for cells in rows if turn < len(cells)]
    return planned


def changes(study: StudySpec, cells: Sequence[Cell], arms: Collection[str] | None = None) -> PlanChanges:
    """What is to change in the plan: trials for the epochs that pruning saved, then what follows a search.

    `cells` are all those of the `arms` that are looked at, of every arm if none are named, or if seeds are added until
    the claims are decided.
    """
    added: list[PlannedCell] = []
    unneeded: list[Cell] = []
    restored: list[Cell] = []
    seeds = confirm_seeds(study, cells)
    for plan in arm_plans(study):
        if arms is not None and plan.arm not in arms:
            continue
        mine = [cell for cell in cells if cell.arm == plan.arm]
        for search in study.protocol.all_searches:
            own = [cell for cell in mine if cell.search == search]
            found = _changes_of(study, plan, search, own, seeds[plan.arm])
            added += found.added
            unneeded += found.unneeded
            restored += found.restored
    return PlanChanges(tuple(added), tuple(unneeded), tuple(restored))


def _changes_of(study: StudySpec, plan: ArmPlan, search: int, own: Sequence[Cell], seeds: int) -> PlanChanges:
    """What is to change in the plan of one search and of what follows from it, under so many confirm seeds; `own` are
    its cells."""
    added: list[PlannedCell] = []
    unneeded: list[Cell] = []
    restored: list[Cell] = []
    searched = [cell for cell in own if cell.phase == SEARCH]
    extra = _saved_by_pruning(study, plan, searched)
    if study.extensions:
        extra = max(extra, plan.cells - len(searched))
    if is_over := _time_is_over(study, plan.arm, sum(cell.seconds for cell in searched)):
        extra = 0
    late = [cell for cell in searched if _is_not_begun(cell)]
    unneeded += [cell for cell in late if is_over and cell.state != WITHDRAWN]
    restored += [cell for cell in late if not is_over and cell.state == WITHDRAWN]
    searched = [cell for cell in searched if not (is_over and cell in late)]
    added += islice(_slots(study, plan.arm, search), len(searched), len(searched) + extra)
    complete = not extra and all(cell.has_ended for cell in searched)
    for following in (_confirmed(study, plan.arm, search, own, seeds), _audited(study, plan.arm, own)):
        wanted = following.wanted if complete else ()
        there = {following.key(cell) for cell in following.planned}
        added += [cell for cell in wanted if following.key(cell) not in there]
        keys = {following.key(cell) for cell in wanted}
        for cell in following.planned:
            if cell.state == WITHDRAWN and following.key(cell) in keys:
                restored.append(cell)
            elif cell.state != WITHDRAWN and following.key(cell) not in keys:
                unneeded.append(cell)
    return PlanChanges(tuple(added), tuple(unneeded), tuple(restored))


def advance(storage: Storage, row: StudyRow, study: StudySpec, seen: dict[str, Hashable] | None = None) -> int | None:
    """Plan what follows from the cells done so far, and note that the study is finished when nothing does.

    Any process may call it; returns how many cells were changed, or None if another process is planning just now. Cells
    are read only of the arms whose counts say that something may follow, and differ from those that were `seen` when
    the caller planned them last.
    """
    progress = storage.ledger.progress(row.id)
    if not progress:
        return 0  # the study has just been deleted
    known = {} if seen is None else seen
    due = {arm: counts for arm, counts in _due(study, progress).items() if known.get(arm) != counts}
    changed: int | None = 0
    if due:
        read = list(study.arms) if study.protocol.is_sequential else list(due)
        changed = storage.ledger.plan(row.id, read, lambda cells: changes(study, cells, read))
        if changed is None:
            return None
        known.update(due)
    if changed == 0 and not any(arm.planned or arm.leased for arm in progress):
        storage.ledger.finish_study(row.id)
    return changed


def _due(study: StudySpec, progress: Sequence[ArmProgress]) -> dict[str, Hashable]:
    """The arms whose plan may have to change, with the counts by which that is seen."""
    found: dict[str, Hashable] = {}
    for plan in arm_plans(study):
        own = {counted.phase: counted for counted in progress if counted.arm == plan.arm}
        search = own.pop(SEARCH, None)
        if search is None:
            continue
        is_open = search.planned + search.leased > 0
        spent = search.done_epochs + (search.planned + search.leased + search.failed) * plan.epochs
        searches = study.protocol.searches
        room = _may_use_what_pruning_saved(study, plan.arm) and plan.budget_epochs * searches - spent >= plan.epochs
        # Of several searches one may be over while others go on: their cells tell.
        is_over = _time_is_over(study, plan.arm, search.seconds)
        room = room and not (is_over and searches == 1)
        short = search.total < plan.cells * searches and not is_over  # since the study was extended
        following = sum(counted.total for counted in own.values())
        late = is_over and search.planned > 0
        if room or short or late or following or not is_open:
            # What follows a search that was opened again is withdrawn as soon as its worker lets go of it.
            held = sum(counted.leased for counted in own.values()) if is_open else 0
            counts = [search.done, search.failed, search.planned if late else 0, following, held]
            if study.protocol.is_sequential:
                counts += [counted.done for counted in own.values()]
            found[plan.arm] = (is_open, room, short, *counts)
    return found


def _slots(study: StudySpec, arm: str, search: int) -> Iterator[PlannedCell]:
    """The cells of one of the arm's searches in order: its grid points with every seed, or open slots for proposals
    without end."""
    spec, protocol = study.arms[arm], study.protocol
    if not spec.sampler.proposes:
        for slot, params in enumerate(grid(spec.search), first_slot(search)):
            for repeat in range(protocol.repeats):
                yield PlannedCell(arm, SEARCH, slot, protocol.seed_of(SEARCH, search, repeat), params)
    else:
        for slot in range(first_slot(search), first_slot(search) + MOST_CELLS):
            yield PlannedCell(arm, SEARCH, slot, protocol.seed_of(SEARCH, search, 0), None)


def _time_is_over(study: StudySpec, arm: str, seconds: float) -> bool:
    """Whether a search of the arm has trained for as long as it may."""
    budget = study.arm(arm).budget
    return budget is not None and budget.hours is not None and seconds >= 3600.0 * budget.hours


def _is_not_begun(cell: Cell) -> bool:
    return cell.state in ("planned", WITHDRAWN) and cell.trial_id is None


def _may_use_what_pruning_saved(study: StudySpec, arm: str) -> bool:
    """Whether epochs that an arm's trials did not need go into further trials."""
    spec, budget = study.arms[arm], study.arm(arm).budget
    return spec.sampler.proposes and (budget is None or budget.epochs is not None)


def _saved_by_pruning(study: StudySpec, plan: ArmPlan, searched: Sequence[Cell]) -> int:
    """How many further trials fit into what is left of an epoch budget."""
    if not _may_use_what_pruning_saved(study, plan.arm):
        return 0
    spent = sum(cell.epochs if cell.state == "done" else plan.epochs for cell in searched)
    return max(0, min((plan.budget_epochs - spent) // plan.epochs, MOST_CELLS - len(searched)))


@dataclass(frozen=True, slots=True)
class _Following:
    """What follows from a search in one phase: what is wanted, and what has been planned of it so far."""

    wanted: Sequence[PlannedCell]
    planned: Sequence[Cell]
    key: Callable[[PlannedCell | Cell], Hashable]
    """What it is that a cell repeats; cells with the same key are planned, withdrawn and restored together."""


def _confirmed(study: StudySpec, arm: str, search: int, own: Sequence[Cell], seeds: int) -> _Following:
    """The confirm phase: the search's best configurations so far, each with every fresh seed."""
    planned = [cell for cell in own if cell.phase == CONFIRM]
    confirm = study.protocol.confirm
    if confirm is None:
        return _Following((), planned, point)
    best = ranking(study.objective, own)[: confirm.top]
    slots = _confirm_slots(best, planned, first_slot(search))
    wanted = [
        PlannedCell(arm, CONFIRM, slot, study.protocol.seed_of(CONFIRM, search, index), configuration.params)
        for index in range(seeds)
        for slot, configuration in zip(slots, best, strict=True)
    ]
    # All seeds of a point are planned together, but for those that come later.
    by_seed = bool(study.extensions) or study.protocol.is_sequential
    return _Following(wanted, planned, (lambda cell: (point(cell), cell.seed)) if by_seed else point)


def _confirm_slots(best: Sequence[Configuration], planned: Sequence[Cell], first: int) -> list[int]:
    """The slot of each configuration: the one that it has already, else the next that no other has."""
    known = {point(cell): cell.slot for cell in planned}
    taken = set(known.values())
    free = (slot for slot in count(first) if slot not in taken)
    return [known[point(one)] if point(one) in known else next(free) for one in best]


def _audited(study: StudySpec, arm: str, own: Sequence[Cell]) -> _Following:
    """The audit: pruned trials, chosen evenly over the search, to be run to their end with the same seed."""
    planned = [cell for cell in own if cell.phase == AUDIT]
    pruned = [cell for cell in own if cell.phase == SEARCH and cell.ended == "pruned"]
    number = min(study.protocol.audit, len(pruned))
    chosen = [pruned[index * len(pruned) // number] for index in range(number)]
    wanted = [PlannedCell(arm, AUDIT, cell.slot, cell.seed, cell.params) for cell in chosen]
    return _Following(wanted, planned, lambda cell: (cell.slot, cell.seed))
