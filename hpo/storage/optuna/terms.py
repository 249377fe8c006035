"""What Optuna is told of a cell; and the same again from the ledger, if Optuna's side of it was lost."""

from __future__ import annotations

from collections.abc import Iterable

from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from hpo.search import NO_PRUNER, Pruner
from hpo.storage.optuna.changes import Changes
from hpo.storage.optuna.rows import CELL
from hpo.storage.rows import Cell, CurvePoint, value_of
from hpo.storage.states import WITHDRAWN
from hpo.study import StudySpec

SEED = "seed"
"""User attribute of a trial: the seed of its cell."""


def space_of(study: StudySpec, arm: str) -> dict[str, BaseDistribution]:
    """What an arm searches, by name."""
    return {name: parameter.searched.distribution() for name, parameter in study.arms[arm].parameters.items()}


def pruner_of(study: StudySpec, arm: str, phase: str) -> Pruner:
    """What may stop a trial early, and says at which epochs it is reported; only the search phase prunes."""
    return study.arm(arm).pruner if phase == "search" else NO_PRUNER


def rungs_from(pruner: Pruner, epoch: int, epochs: int) -> list[int]:
    """The epochs from `epoch` to `epochs` at which a trial is reported."""
    return [rung for rung in range(epoch, epochs + 1) if pruner.at_rung(rung)]


def end_state(ended: str, score: float | None) -> TrialState:
    """The state of a trial that ended so; one that diverged and has no score ranks below those that were pruned."""
    return TrialState.PRUNED if ended == "pruned" or score is None else TrialState.COMPLETE


def trial_state(cell: Cell) -> TrialState:
    """The state of the cell's trial; a cell that was withdrawn keeps the trial and the result that it had."""
    if cell.ended is not None:
        return end_state(cell.ended, cell.score)
    if cell.finished is not None:
        return TrialState.FAIL
    return TrialState.WAITING if cell.state == WITHDRAWN else TrialState.RUNNING


def as_told(study: StudySpec, cell: Cell, curve: Iterable[CurvePoint]) -> Changes:
    """All that Optuna has been told of a cell with this curve, but for what samplers and pruners have noted."""
    space, pruner = space_of(study, cell.arm), pruner_of(study, cell.arm, cell.phase)
    metric = study.objective
    reported = {
        point.at: value
        for point in curve
        if pruner.at_rung(point.at) and (value := value_of(metric, point)) is not None
    }
    if cell.ended == "diverged":
        reported |= dict.fromkeys(rungs_from(pruner, cell.epochs, study.arm(cell.arm).length), metric.last)
    state = trial_state(cell)
    values: list[float] = []
    if state is TrialState.COMPLETE and cell.score is not None:
        values = [cell.score]
    if state is TrialState.PRUNED and reported:
        values = [reported[max(reported)]]
    return Changes(
        params={
            path: (space[path].to_internal_repr(value), space[path])
            for path, value in (cell.params or {}).items()
            if path in space
        },
        intermediate=reported,
        user_attrs={CELL: cell.id, SEED: cell.seed},
        values=values,
        state=state if state.is_finished() else None,
    )
