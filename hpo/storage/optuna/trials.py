"""Optuna's side of the cells: exactly one trial per cell, in the Optuna study of its arm and phase.

What another tool has removed of it is made again from the ledger, and the work goes on.
"""

from __future__ import annotations

import logging
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, Trial, TrialState

from hpo.errors import HpoError, OptunaStudyGone
from hpo.optuna_private import id_of, inferred_space, set_inferred_space
from hpo.search import Pruner
from hpo.search.parameters import point
from hpo.search.space import Params
from hpo.seeds import derive
from hpo.storage.connection.guarded import Query, Rows, Statement
from hpo.storage.optuna import studies as optuna_studies
from hpo.storage.optuna.changes import Changes, failure
from hpo.storage.optuna.new_trial import NewTrial
from hpo.storage.optuna.repair import repair
from hpo.storage.optuna.rows import CELL
from hpo.storage.optuna.studies import direction_of, name_for
from hpo.storage.optuna.terms import SEED, end_state, pruner_of, rungs_from, space_of
from hpo.storage.optuna.trial_buffer import TrialBuffer
from hpo.storage.rows import Cell, Lease, first_slot
from hpo.study import StudySpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner

    from hpo.storage import Storage

log = logging.getLogger(__name__)

HEALINGS = 3
"""How often in a row a trial is begun again after Optuna's side was healed: it may be damaged again meanwhile."""


class Trials:
    """The Optuna studies of one of our studies."""

    def __init__(self, storage: Storage, spec: StudySpec) -> None:
        self._ledger = storage.ledger
        self._storage = storage.optuna
        self._spec = spec
        self._pruner = cache(self._build_pruner)
        self._inferred: dict[int, IntersectionSearchSpace] = {}

    def begin(self, lease: Lease) -> tuple[Trial, Params]:
        """The cell's trial and parameters: those that it has, or a new trial with the sampler's proposal.

        Raises:
            LeaseLost: another worker holds the cell.
            StudyError: what is missing on Optuna's side can't be made again by this worker.
        """
        trial_id = lease.cell.trial_id
        for _ in range(HEALINGS):
            try:
                return self._begin(lease, trial_id)
            except KeyError:  # as Optuna says that a study or a trial is not there
                self.heal(lease)
                trial_id = None  # the ledger knows by now which trial it is
        return self._begin(lease, trial_id)

    def heal(self, lease: Lease) -> bool:
        """Make again from the ledger what is missing of the study on Optuna's side; whether anything was.

        Raises:
            LeaseLost: the study was deleted.
            StudyError: this worker can't.
        """
        repaired = repair(self._storage.database, lease.study_id, lease.study_uuid, self._spec)
        for each in repaired:
            log.warning("%s", each)
        return bool(repaired)

    def heal_if_possible(self, lease: Lease) -> None:
        """Heal after the cell was done without its trial; why it can't be is only noted then."""
        try:
            self.heal(lease)
        except HpoError as error:
            log.warning("%s (%s)", error, error.hint)

    def pruner(self, cell: Cell) -> Pruner:
        """What may stop the cell's trial early; only in the search phase."""
        return pruner_of(self._spec, cell.arm, cell.phase)

    def changes(self, trial: Trial) -> list[Statement]:
        """What has been reported or noted of the trial, to be written with our next write; it is asked for once."""
        return _buffer(trial).statements()

    def prefetch_query(self, trial: Trial) -> Query | None:
        """What `should_prune` will read of the other trials, to be read with the rung's report; None if unknown."""
        return _buffer(trial).prefetch_query()

    def should_prune(self, trial: Trial, answer: Rows | None) -> bool:
        """Whether the trial should be pruned at the rung that was just reported, as the others stand now."""
        buffer = _buffer(trial)
        try:
            buffer.invalidate(answer)
            prune = trial.should_prune()
        except OptunaStudyGone:
            self._go_on(trial)
            prune = trial.should_prune()
        buffer.note_what_the_pruner_read()
        return prune

    def flush(self, trial: Trial) -> None:
        """Let the others see what a pruner notes at the trial."""
        _buffer(trial).flush()

    def tell(
        self, trial: Trial, pruner: Pruner, ended: str, epoch: int, epochs: int, score: float | None
    ) -> list[Statement]:
        """Tell Optuna how the trial ended: what is to be written with the cell's result.

        A diverged trial has the worst value there is, here and at every later rung, so samplers and pruners see it for
        what it is.
        """
        if ended == "diverged":
            for rung in rungs_from(pruner, epoch, epochs):
                trial.report(self._spec.objective.last, rung)
        if score is None or end_state(ended, score) is TrialState.PRUNED:
            trial.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            trial.study.tell(trial, score, skip_if_finished=True)
        return self.changes(trial)

    def failure(self, lease: Lease) -> list[Statement]:
        """Tell Optuna that the cell's trial, if it has one by now, has failed for good."""
        return [failure(lease.cell.id)]

    def _begin(self, lease: Lease, trial_id: int | None) -> tuple[Trial, Params]:
        cell, space = lease.cell, space_of(self._spec, lease.cell.arm)
        buffer = self._buffer_of(lease, trial_id)
        kept = buffer.trial
        # Values that the trial has already stay; what a predecessor left open is given or proposed now.
        if SEED not in kept.user_attrs:
            buffer.set_trial_user_attr(id_of(kept), SEED, cell.seed)
        for path, value in (cell.params or {}).items():
            if path in space and path not in kept.params:
                buffer.set_trial_param(id_of(kept), path, space[path].to_internal_repr(value), space[path])
        trial = Trial(self._study(buffer, cell), id_of(kept))
        params = cell.params
        if params is None:
            search = self._spec.arms[cell.arm].search
            params = point(search, lambda name, searched: _suggest(trial, name, searched.distribution()))
        if cell.params is None or buffer.changes != Changes():
            self._ledger.propose(lease, params, buffer.statements())
        return trial, params

    def _buffer_of(self, lease: Lease, trial_id: int | None) -> TrialBuffer:
        """The cell's trial, or a new one if it has none.

        Raises:
            KeyError: the Optuna study, or the trial in it, is not there.
        """
        cell, name, started = lease.cell, self._name(lease.cell), datetime.now()
        if trial_id is None:
            found = self._ledger.begin_trial(lease, name, started)
            if found.study_id is not None:
                return self._buffer(found.study_id, lease, _empty_trial(found, started, cell))
            trial_id = found.id
        study_id = self._study_id(lease)
        kept = self._storage.get_trial(trial_id)
        if kept.user_attrs.get(CELL) != cell.id or kept.state.is_finished():
            raise OptunaStudyGone(f"the Optuna trial of trial {cell.id} is missing")
        return self._buffer(study_id, lease, kept)

    def _buffer(self, study_id: int, lease: Lease, trial: FrozenTrial) -> TrialBuffer:
        direction = direction_of(self._spec.objective)
        return TrialBuffer(self._storage, study_id, self._name(lease.cell), direction, trial, lease)

    def _go_on(self, trial: Trial) -> None:
        """Make the trial's study again, and let the trial go on in it."""
        buffer = _buffer(trial)
        assert buffer.lease is not None
        self.heal(buffer.lease)
        found = self._ledger.begin_trial(buffer.lease, self._name(buffer.lease.cell), datetime.now())
        buffer.move(self._study_id(buffer.lease), found.id, found.number)
        again = Trial(self._study(buffer, buffer.lease.cell), found.id)
        trial.__dict__.update(again.__dict__)

    def _name(self, cell: Cell) -> str:
        return name_for(self._spec.name, cell)

    def _study_id(self, lease: Lease) -> int:
        name = self._name(lease.cell)
        found = self._storage.database.read(lambda connection: optuna_studies.id_of(connection, name, lease.study_uuid))
        if found is None:
            raise OptunaStudyGone(f"the Optuna study {name} is missing")
        return found

    def _study(self, buffer: TrialBuffer, cell: Cell) -> optuna.Study:
        arm = self._spec.arms[cell.arm]
        later = (cell.search,) if cell.search > 1 else ()
        seed = derive(self._spec.protocol.seed, self._spec.name, cell.arm, cell.phase, *later)
        branches = any(parameter.choice for parameter in arm.parameters.values())
        sampler: Any = arm.sampler.build(
            seed, cell.slot - first_slot(cell.search), space_of(self._spec, cell.arm), branches
        )
        # TPE and CMA-ES infer what is searched from all trials of the study, which takes longer than to propose. Each
        # goes on from where the last one was; Optuna has no public way to say so.
        inferred = inferred_space(sampler)
        if inferred is not None:
            set_inferred_space(sampler, self._inferred.setdefault(buffer.study_id, inferred))
        pruner = self._pruner(cell.arm, cell.phase)
        return optuna.load_study(study_name=self._name(cell), storage=buffer, sampler=sampler, pruner=pruner)

    def _build_pruner(self, arm: str, phase: str) -> BasePruner:
        return pruner_of(self._spec, arm, phase).build(self._spec.arm(arm).length)


def _buffer(trial: Trial) -> TrialBuffer:
    assert isinstance(trial.storage, TrialBuffer)
    return trial.storage


def _empty_trial(made: NewTrial, started: datetime, cell: Cell) -> FrozenTrial:
    """What `Storage.optuna` would read of a trial that was just made."""
    return FrozenTrial(
        number=made.number,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=started,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={CELL: cell.id},
        system_attrs={},
        intermediate_values={},
        trial_id=made.id,
    )


def _suggest(trial: Trial, path: str, distribution: BaseDistribution) -> Any:
    """The trial's value of the parameter: the stored one, or the sampler's proposal, which is stored."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(path, choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(path, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(path, low, high, step=step, log=log)
        case _:
            raise AssertionError(f"no such distribution in a study file: {distribution}")
