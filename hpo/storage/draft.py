"""One trial as Optuna's samplers and pruners work on it: in memory, its changes written with the ledger's next write.

So a report costs nothing beyond the record of its epoch, all that is proposed is written at once, and Optuna's side of
a cell never differs from ours, whoever vanishes when. The holder of the lease is the only one who writes to the trial.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hpo.storage.optuna_rows import Changes
from hpo.storage.optuna_storage import Known, OptunaStorage
from hpo.storage.together import Answer, Reading


class Draft(OptunaStorage):
    """The storage as the work on one trial sees it: the study as at the last look, and `trial` with its changes."""

    def __init__(self, storage: OptunaStorage, study_id: int, study_name: str, trial: FrozenTrial) -> None:
        self.__dict__.update(storage.__dict__)  # what is known of the studies is shared, whoever reads it
        self._study_id, self._study_name, self._trial = study_id, study_name, _copy(trial)
        self._looked = self._looked_at_open = False
        self.changes = Changes()
        """What has not been written yet."""

    def pruners_question(self) -> Reading | None:
        """What the pruner will ask the database, to be read with the next write; None as long as that isn't known."""
        asks = self._known[self._study_id].pruner_asks_for_open
        return None if asks is None else self.news(self._study_id, asks)

    def look_again(self, answer: Answer | None = None) -> None:
        """Let the next question be answered by what has just been read for the pruner, or else by the database."""
        self._looked = self._looked_at_open = False
        if answer is not None:
            self.learn(self._study_id, answer)
            self._looked = True
            self._looked_at_open = bool(self._known[self._study_id].pruner_asks_for_open)

    def note_pruners_question(self) -> None:
        """The pruner has been asked since the last look: keep in mind what it asked for."""
        if self._looked:
            self._known[self._study_id].pruner_asks_for_open = self._looked_at_open

    def flush(self) -> None:
        """Write the changes now."""
        if self.changes != Changes():
            self._write(self._trial._trial_id, self.changes)
            self.changes = Changes()

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._study_id if study_name == self._study_name else super().get_study_id_from_name(study_name)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return _copy(self._trial) if trial_id == self._trial._trial_id else super().get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        found = super().get_all_trials(study_id, deepcopy=False, states=states)
        if states is None or TrialState.RUNNING in states:
            mine = _copy(self._trial)
            found = [mine if trial._trial_id == mine._trial_id else trial for trial in found]
        return copy.deepcopy(found) if deepcopy else found

    def _look(self, study_id: int, details_of_open: bool) -> Known:
        if not self._looked or (details_of_open and not self._looked_at_open):
            super()._look(study_id, details_of_open)
            self._looked, self._looked_at_open = True, details_of_open
        return self._known[study_id]

    # These are called for the trial of the draft alone.

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self.changes.params[param_name] = param_value_internal, distribution
        self._trial.distributions[param_name] = distribution
        self._trial.params[param_name] = distribution.to_external_repr(param_value_internal)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.changes.intermediate[step] = intermediate_value
        self._trial.intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.changes.user_attrs[key] = value
        self._trial.user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.changes.system_attrs[key] = value
        self._trial.system_attrs[key] = value

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        self.changes.state, self.changes.values = state, values or ()
        self._trial.state, self._trial.values = state, list(values) if values else None
        return True


def _copy(trial: FrozenTrial) -> FrozenTrial:
    """What Optuna is given it may change, and so may a draft."""
    copied = copy.copy(trial)
    for name in ("params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
        setattr(copied, name, dict(getattr(trial, name)))
    return copied
