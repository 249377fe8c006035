"""Optuna's side of the cells: one Optuna study per arm and phase, exactly one trial per cell.

The search phase of an arm is the Optuna study `STUDY/ARM`, its confirm phase `STUDY/ARM/confirm` (and an audit of the
pruner `STUDY/ARM/audit`), so that the best value, the importances and the proposals of the first are not mixed with
repetitions of the best.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import Trial, TrialState

from hpo.search import NoPruner, Pruner
from hpo.seeds import derive
from hpo.space import Params
from hpo.storage.rows import Cell, Lease
from hpo.study import StudySpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from sqlalchemy import Connection

    from hpo.storage import Storage

CELL = "cell"
"""User attribute of a trial: the id of its cell."""


def study_name(study: str, arm: str, phase: str) -> str:
    """The name of the Optuna study that holds an arm's trials of one phase."""
    return f"{study}/{arm}" if phase == "search" else f"{study}/{arm}/{phase}"


class Trials:
    """The Optuna studies of one of our studies."""

    def __init__(self, storage: Storage, spec: StudySpec) -> None:
        self._owner, self._storage, self._spec = storage, storage.optuna, spec
        self._open = cache(self._open_study)

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
        cell, ledger = lease.cell, self._owner.ledger
        trial_id = cell.trial_id
        if trial_id is None:
            study = self._open(cell.arm, cell.phase)  # before the transaction: SQLite has one at a time
            trial_id, _ = ledger.begin_trial(lease, lambda connection: self._create(study, cell, connection))
        trial = self._trial(cell, trial_id)
        if cell.params is not None:
            return trial, cell.params
        # Optuna's cache knows a trial only once it has read it, which not every sampler makes it do.
        trial.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        # Values that the trial has already are kept; what a predecessor left open is proposed now.
        params = {path: _suggest(trial, path, distribution) for path, distribution in self._space(cell).items()}
        ledger.propose(lease, params)
        return trial, params

    def pruner(self, cell: Cell) -> Pruner:
        """What may stop the cell's trial early; only in the search phase."""
        return self._spec.pruner(cell.arm) if cell.phase == "search" else NoPruner()

    def report(self, trial: Trial, pruner: Pruner, epoch: int, epochs: int, accuracy: float) -> bool:
        """Report the validation accuracy if `epoch` is a rung; returns whether the trial should be pruned there.

        A trial that has come to the last of its `epochs` is not pruned any more: there is nothing to save.
        """
        if not pruner.at_rung(epoch):
            return False
        trial.report(accuracy, epoch)
        return epoch < epochs and trial.should_prune()

    def tell(self, trial: Trial, pruner: Pruner, ended: str, epoch: int, epochs: int, score: float) -> None:
        """Tell Optuna how the trial ended; telling it again changes nothing.

        A diverged trial is complete with the worst accuracy there is, 0, here and at every later rung, so samplers and
        pruners see it for what it is.
        """
        if ended == "diverged" and not self._finished(trial):
            for rung in filter(pruner.at_rung, range(epoch, epochs + 1)):
                trial.report(0.0, rung)
        if ended == "pruned":
            trial.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            trial.study.tell(trial, score, skip_if_finished=True)

    def fail(self, lease: Lease) -> None:
        """Tell Optuna that the cell's trial, if it has one by now, has failed for good."""
        trial_id = self._owner.ledger.trial_id(lease)
        if trial_id is not None:
            trial = self._trial(lease.cell, trial_id)
            trial.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def _finished(self, trial: Trial) -> bool:
        return self._storage.get_trial(trial._trial_id).state.is_finished()

    def _open_study(self, arm: str, phase: str) -> optuna.Study:
        pruner = self._spec.pruner(arm) if phase == "search" else NoPruner()
        name, built = study_name(self._spec.name, arm, phase), pruner.build(self._spec.epochs(arm))
        try:
            return optuna.load_study(study_name=name, storage=self._storage, pruner=built)
        except KeyError:
            study = optuna.create_study(
                study_name=name, storage=self._storage, direction="maximize", load_if_exists=True, pruner=built
            )
        if not study.metric_names:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(["validation accuracy"])
        return study

    def _trial(self, cell: Cell, trial_id: int) -> Trial:
        study = self._open(cell.arm, cell.phase)
        arm = self._spec.arms[cell.arm]
        seed = derive(self._spec.protocol.seed, self._spec.name, cell.arm, cell.phase)
        study.sampler = arm.sampler.build(seed, cell.slot, self._space(cell))
        return Trial(study, trial_id)

    def _space(self, cell: Cell) -> dict[str, BaseDistribution]:
        return {path: searched.distribution() for path, searched in self._spec.arms[cell.arm].search.items()}

    def _create(self, study: optuna.Study, cell: Cell, connection: Connection) -> tuple[int, int]:
        params = cell.params or {}
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions={path: d for path, d in self._space(cell).items() if path in params},
            user_attrs={CELL: cell.id, "seed": cell.seed},
        )
        within = self._owner.optuna_within(connection)
        trial_id = within.create_new_trial(study._study_id, template)
        return trial_id, within.get_trial_number_from_id(trial_id)


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
