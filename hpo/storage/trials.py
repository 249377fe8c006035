"""Optuna's side of the cells: one Optuna study per arm and phase, exactly one trial per cell.

The search phase of an arm is the Optuna study `STUDY/ARM`, its confirm phase `STUDY/ARM/confirm` (and an audit of the
pruner `STUDY/ARM/audit`), so that the best value, the importances and the proposals of the first are not mixed with
repetitions of the best.
"""

from __future__ import annotations

import warnings
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, Trial, TrialState

from hpo.parameters import point
from hpo.search import NoPruner, Pruner
from hpo.seeds import derive
from hpo.space import Params
from hpo.storage.draft import Draft
from hpo.storage.new_trial import NewTrial
from hpo.storage.optuna_rows import Changes, failure
from hpo.storage.rows import Cell, Lease
from hpo.storage.together import Answer, Reading, Write
from hpo.study import StudySpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner

    from hpo.storage import Storage

CELL = "cell"
"""User attribute of a trial: the id of its cell."""


def study_name(study: str, arm: str, phase: str) -> str:
    """The name of the Optuna study that holds an arm's trials of one phase."""
    return f"{study}/{arm}" if phase == "search" else f"{study}/{arm}/{phase}"


class Trials:
    """The Optuna studies of one of our studies."""

    def __init__(self, storage: Storage, spec: StudySpec) -> None:
        self._ledger, self._storage, self._spec = storage.ledger, storage.optuna, spec
        self._open = cache(self._open_study)
        self._pruner = cache(self._build_pruner)
        self._inferred: dict[tuple[str, str], IntersectionSearchSpace] = {}

    def create_studies(self) -> None:
        """Create those that don't exist; any process may do so."""
        for arm in self._spec.arms:
            for phase, asked in self._phases().items():
                if asked:
                    self._open(arm, phase)

    def delete_studies(self) -> None:
        """Delete those that exist."""
        for arm in self._spec.arms:
            for phase in self._phases():
                try:
                    optuna.delete_study(study_name=study_name(self._spec.name, arm, phase), storage=self._storage)
                except KeyError:
                    continue

    def _phases(self) -> dict[str, bool]:
        protocol = self._spec.protocol
        return {"search": True, "audit": protocol.audit > 0, "confirm": protocol.confirm is not None}

    def begin(self, lease: Lease) -> tuple[Trial, Params]:
        """The cell's trial and parameters: those that it has, or a new trial with the sampler's proposal.

        Raises:
            LeaseLost: another worker holds the cell.
        """
        cell, space, started = lease.cell, self._space(lease.cell), datetime.now()
        study_id = self._open(cell.arm, cell.phase)
        known = NewTrial(cell.trial_id, 0, made=False) if cell.trial_id is not None else None
        found = known or self._ledger.begin_trial(lease, study_id, started)
        kept = _empty_trial(found, started) if found.made else self._storage.get_trial(found.id)
        draft = Draft(self._storage, study_id, self._name(cell), kept)
        # Values that the trial has already stay; what a predecessor left open is given or proposed now.
        if CELL not in kept.user_attrs:
            draft.set_trial_user_attr(kept._trial_id, CELL, cell.id)
            draft.set_trial_user_attr(kept._trial_id, "seed", cell.seed)
        for path, value in (cell.params or {}).items():
            if path in space and path not in kept.params:
                draft.set_trial_param(kept._trial_id, path, space[path].to_internal_repr(value), space[path])
        trial = self._trial(cell, draft, kept._trial_id)
        params = cell.params
        if params is None:
            search = self._spec.arms[cell.arm].search
            params = point(search, lambda name, searched: _suggest(trial, name, searched.distribution()))
        if cell.params is None or draft.changes != Changes():
            self._ledger.propose(lease, params, draft.changes.writes(kept._trial_id))
            draft.changes = Changes()
        return trial, params

    def pruner(self, cell: Cell) -> Pruner:
        """What may stop the cell's trial early; only in the search phase."""
        return self._asked(cell.arm, cell.phase)

    def changes(self, trial: Trial) -> list[Write]:
        """What has been reported or noted of the trial, to be written with our next write; it is asked for once."""
        draft = _draft(trial)
        writes, draft.changes = draft.changes.writes(trial._trial_id), Changes()
        return writes

    def pruners_question(self, trial: Trial) -> Reading | None:
        """What `should_prune` will read of the other trials, to be read with the rung's report; None if unknown."""
        return _draft(trial).pruners_question()

    def should_prune(self, trial: Trial, answer: Answer | None) -> bool:
        """Whether the trial should be pruned at the rung that was just reported, as the others stand now."""
        draft = _draft(trial)
        draft.look_again(answer)
        prune = trial.should_prune()
        draft.note_pruners_question()
        return prune

    def flush(self, trial: Trial) -> None:
        """Let the others see what a pruner notes at the trial."""
        _draft(trial).flush()

    def tell(self, trial: Trial, pruner: Pruner, ended: str, epoch: int, epochs: int, score: float) -> list[Write]:
        """Tell Optuna how the trial ended: what is to be written with the cell's result.

        A diverged trial is complete with the worst accuracy there is, 0, here and at every later rung, so samplers and
        pruners see it for what it is.
        """
        if ended == "diverged":
            for rung in filter(pruner.at_rung, range(epoch, epochs + 1)):
                trial.report(0.0, rung)
        if ended == "pruned":
            trial.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            trial.study.tell(trial, score, skip_if_finished=True)
        return self.changes(trial)

    def failure(self, lease: Lease) -> list[Write]:
        """Tell Optuna that the cell's trial, if it has one by now, has failed for good."""
        return [failure(lease.cell.id)]

    def _name(self, cell: Cell) -> str:
        return study_name(self._spec.name, cell.arm, cell.phase)

    def _open_study(self, arm: str, phase: str) -> int:
        name = study_name(self._spec.name, arm, phase)
        try:
            return self._storage.get_study_id_from_name(name)
        except KeyError:
            study = optuna.create_study(
                study_name=name, storage=self._storage, direction="maximize", load_if_exists=True
            )
        if not study.metric_names:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(["validation accuracy"])
        return study._study_id

    def _trial(self, cell: Cell, draft: Draft, trial_id: int) -> Trial:
        arm = self._spec.arms[cell.arm]
        seed = derive(self._spec.protocol.seed, self._spec.name, cell.arm, cell.phase)
        branches = any(parameter.choice for parameter in arm.parameters.values())
        sampler: Any = arm.sampler.build(seed, cell.slot, self._space(cell), branches)
        # TPE and CMA-ES infer what is searched from all trials of the study, which takes longer than to propose. Each
        # goes on from where the last one was; Optuna has no public way to say so.
        if isinstance(inferred := getattr(sampler, "_search_space", None), IntersectionSearchSpace):
            sampler._search_space = self._inferred.setdefault((cell.arm, cell.phase), inferred)
        pruner = self._pruner(cell.arm, cell.phase)
        study = optuna.load_study(study_name=self._name(cell), storage=draft, sampler=sampler, pruner=pruner)
        return Trial(study, trial_id)

    def _asked(self, arm: str, phase: str) -> Pruner:
        return self._spec.pruner(arm) if phase == "search" else NoPruner()

    def _build_pruner(self, arm: str, phase: str) -> BasePruner:
        return self._asked(arm, phase).build(self._spec.epochs(arm))

    def _space(self, cell: Cell) -> dict[str, BaseDistribution]:
        arm = self._spec.arms[cell.arm]
        return {name: parameter.searched.distribution() for name, parameter in arm.parameters.items()}


def _draft(trial: Trial) -> Draft:
    assert isinstance(trial.storage, Draft)
    return trial.storage


def _empty_trial(made: NewTrial, started: datetime) -> FrozenTrial:
    """What `Storage.optuna` would read of a trial that was just made."""
    return FrozenTrial(
        made.number, TrialState.RUNNING, None, started, None, {}, {}, {}, {}, {}, made.id
    )  # fmt: skip


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
