"""What each arm of a study is going to run, and whether its budget and our limits allow it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hpo.errors import StudyFileError
from hpo.search.parameters import grid_size
from hpo.study import StudySpec

MOST_CELLS = 10_000
"""Per search and phase of an arm; a larger plan is taken for a mistake."""
MOST_CELLS_IN_ALL = 200_000
"""The most trials of a study; workers look through all of them when they plan."""


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """What an arm is going to run in each of its searches, if nothing is pruned."""

    arm: str
    cells: int
    epochs: int
    """Per cell."""
    budget_epochs: int
    """What a search may spend in all; pruned trials leave some of it for further cells."""


def arm_plans(study: StudySpec) -> list[ArmPlan]:
    """Cells and epochs of every arm's searches, of a study without `budget_mistakes`."""
    epochs = {arm: study.arm(arm).length for arm in study.arms}
    grids = {
        arm: study.protocol.repeats * grid_size(spec.search)
        for arm, spec in study.arms.items()
        if not spec.sampler.proposes
    }
    largest = max((cells * epochs[arm] for arm, cells in grids.items()), default=0)
    plans = []
    for arm in study.arms:
        budget = study.arm(arm).budget
        if budget is None:
            allowed = grids[arm] * epochs[arm] if arm in grids else largest
        elif budget.epochs is not None:
            allowed = budget.epochs
        else:
            allowed = (budget.trials or 0) * epochs[arm]
        plans.append(ArmPlan(arm, grids.get(arm, allowed // epochs[arm]), epochs[arm], allowed))
    return plans


def units_at_most(study: StudySpec) -> dict[str, int]:
    """Arm -> what its searches and their confirm phases train in all, in the study's unit, if nothing is pruned."""
    protocol = study.protocol
    confirmed = protocol.confirm.top * protocol.confirm.largest if protocol.confirm else 0
    return {plan.arm: protocol.searches * (plan.budget_epochs + confirmed * plan.epochs) for plan in arm_plans(study)}


def budget_mistakes(study: StudySpec) -> Iterator[str]:
    """A line for every budget that is missing, too small for one trial or for its grid, or too large to be meant.

    Where it isn't known how many epochs a trial has, there is nothing to compare.
    """
    if not all(_has_epochs(study, arm) for arm in study.arms):
        return
    missing = [arm for arm, spec in study.arms.items() if study.arm(arm).budget is None and not _is_grid(study, arm)]
    if missing and not any(_is_grid(study, arm) for arm in study.arms):
        yield (
            f"protocol.budget: missing; {', '.join(missing)} needs one, such as {{ epochs = 480 }} or "
            "{ trials = 40 }, or a grid arm beside it"
        )
        return
    plans = arm_plans(study)
    for plan in plans:
        yield from _arm_mistakes(study, plan)
    yield from _confirm_mistakes(study, plans)
    each = sum(plan.cells + study.protocol.audit + _confirm_cells(study, plan) for plan in plans)
    cells = study.protocol.searches * each
    if cells > MOST_CELLS_IN_ALL:
        yield (
            f"arms: {cells:,} trials in all, at most {MOST_CELLS_IN_ALL:,} are allowed in one study, since each worker "
            "looks through all of them; split it into several studies"
        )


def _arm_mistakes(study: StudySpec, plan: ArmPlan) -> Iterator[str]:
    needed = max(plan.cells, 1) * plan.epochs
    if needed > plan.budget_epochs:
        each = f"of {plan.epochs} epochs"
        what = f"the grid's {plan.cells} trials {each} need" if _is_grid(study, plan.arm) else f"one trial {each} needs"
        yield f"arms.{plan.arm}: {what} {needed} epochs, the budget is {plan.budget_epochs}"
    if plan.cells > MOST_CELLS:
        yield f"{_limiting_field(study, plan)}; at most {MOST_CELLS:,} are allowed"


def _limiting_field(study: StudySpec, plan: ArmPlan) -> str:
    """The field that makes the plan so large, and how large."""
    cells, budget = f"{plan.cells:,} trials", study.arm(plan.arm).budget
    if _is_grid(study, plan.arm):
        repeats = study.protocol.repeats
        points = f" ({plan.cells // repeats:,} points, protocol.repeats = {repeats})" if repeats > 1 else ""
        return f"arms.{plan.arm}.search: the grid has {cells}{points}"
    where = f"arms.{plan.arm}.budget" if study.arms[plan.arm].budget else "protocol.budget"
    if budget is None:
        return f"{where}: without one, {plan.arm} has the largest grid's epochs, which are {cells}"
    if budget.trials is not None:
        return f"{where}.trials: {cells} in {plan.arm}"
    return f"{where}.epochs: {plan.budget_epochs:,} epochs are {cells} of {plan.epochs} epochs in {plan.arm}"


def _confirm_mistakes(study: StudySpec, plans: list[ArmPlan]) -> Iterator[str]:
    confirm, largest = study.protocol.confirm, max(plans, key=lambda plan: _confirm_cells(study, plan))
    cells = _confirm_cells(study, largest)
    if confirm is not None and cells > MOST_CELLS:
        yield (
            f"protocol.confirm: {confirm.largest} seeds for each of the best {confirm.top} are {cells:,} trials in "
            f"{largest.arm}; at most {MOST_CELLS:,} are allowed: lower seeds or top"
        )


def _confirm_cells(study: StudySpec, plan: ArmPlan) -> int:
    """How many cells the arm's confirm phase has at most: no more configurations than were tried."""
    confirm = study.protocol.confirm
    if confirm is None:
        return 0
    configurations = plan.cells // study.protocol.repeats if _is_grid(study, plan.arm) else plan.cells
    return min(confirm.top, configurations) * confirm.largest


def _has_epochs(study: StudySpec, arm: str) -> bool:
    try:
        return study.arm(arm).length > 0
    except (KeyError, TypeError, ValueError, OverflowError, StudyFileError):
        return False


def _is_grid(study: StudySpec, arm: str) -> bool:
    return not study.arms[arm].sampler.proposes
