"""One trial as Optuna's samplers and pruners work on it: in memory, its changes written with the ledger's next write.

So a report costs nothing beyond the record of its epoch, all that is proposed is written at once, and Optuna's side of
a cell never differs from ours, whoever vanishes when. The holder of the lease is the only one who writes to the trial.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import OptunaStudyGone
from hpo.storage.optuna_changes import Changes
from hpo.storage.optuna_rows import Identity, read_identity
from hpo.storage.optuna_storage import Known, OptunaStorage
from hpo.storage.optuna_studies import mark
from hpo.storage.rows import Lease
from hpo.storage.together import Answer, Reading, Write


class Draft(OptunaStorage):
    """The storage as the work on one trial sees it: the study as at the last look, and `trial` with its changes."""

    def __init__(
        self, storage: OptunaStorage, study_id: int, study_name: str, trial: FrozenTrial, lease: Lease | None = None
    ) -> None:
        self.__dict__.update(storage.__dict__)  # what is known of the studies is shared, whoever reads it
        self.study_id, self._study_name, self.trial = study_id, study_name, _copy(trial)
        self._looked = self._looked_at_open = False
        self.changes = Changes()
        """What has not been written yet."""
        self.lease = lease
        """Of the trial's cell; what is no longer that cell's is not written to."""

    def move(self, study_id: int, trial_id: int, number: int) -> None:
        """Go on as this trial: the study has been made again."""
        self.study_id = study_id
        self.trial._trial_id, self.trial.number = trial_id, number
        self._looked = self._looked_at_open = False

    def writes(self) -> list[Write]:
        """What has not been written yet; from now on it counts as written."""
        cell = None if self.lease is None else self.lease.cell.id
        written, self.changes = self.changes.writes(self.trial._trial_id, cell), Changes()
        return written

    def pruners_question(self) -> Reading | None:
        """What the pruner will ask the database, to be read with the next write; None as long as that isn't known."""
        asks = self._known[self.study_id].pruner_asks_for_open
        return None if asks is None else self.news(self.study_id, asks)

    def look_again(self, answer: Answer | None = None) -> None:
        """Let the next question be answered by what has just been read for the pruner, or else by the database."""
        self._looked = self._looked_at_open = False
        if answer is not None:
            asked_for_open = bool(self._known[self.study_id].pruner_asks_for_open)
            self._looked = self.learn(self.study_id, answer)
            self._looked_at_open = self._looked and asked_for_open

    def note_pruners_question(self) -> None:
        """The pruner has been asked since the last look: keep in mind what it asked for."""
        if self._looked:
            self._known[self.study_id].pruner_asks_for_open = self._looked_at_open

    def flush(self) -> None:
        """Write the changes now."""
        if self.changes != Changes():
            self._write(self.trial._trial_id, self.writes())

    def learn(self, study_id: int, answer: Answer) -> bool:
        if study_id == self.study_id and not self._is_mine(read_identity(answer)):
            raise OptunaStudyGone(f"the Optuna study {self._study_name} is missing")
        return super().learn(study_id, answer)

    def _is_mine(self, found: Identity | None) -> bool:
        """Whether what has the study's id is still that study."""
        if found is None or found.name != self._study_name:
            return False
        return self.lease is None or found.mark == mark(self.lease.study_uuid)

    def get_study_id_from_name(self, study_name: str) -> int:
        return self.study_id if study_name == self._study_name else super().get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._study_name if study_id == self.study_id else super().get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [StudyDirection.MAXIMIZE] if study_id == self.study_id else super().get_study_directions(study_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return _copy(self.trial) if trial_id == self.trial._trial_id else super().get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        found = super().get_all_trials(study_id, deepcopy=False, states=states)
        if states is None or TrialState.RUNNING in states:
            mine = _copy(self.trial)
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
        self.trial.distributions[param_name] = distribution
        self.trial.params[param_name] = distribution.to_external_repr(param_value_internal)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.changes.intermediate[step] = intermediate_value
        self.trial.intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.changes.user_attrs[key] = value
        self.trial.user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.changes.system_attrs[key] = value
        self.trial.system_attrs[key] = value

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        self.changes.state, self.changes.values = state, values or ()
        self.trial.state, self.trial.values = state, list(values) if values else None
        return True


def _copy(trial: FrozenTrial) -> FrozenTrial:
    """What Optuna is given it may change, and so may a draft."""
    copied = copy.copy(trial)
    for name in ("params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
        setattr(copied, name, dict(getattr(trial, name)))
    return copied
