"""One trial as Optuna's samplers and pruners work on it: in memory, its changes written with the ledger's next write.

So a report costs nothing beyond the record of its epoch, all that is proposed is written at once, and Optuna's side of
a cell never differs from ours, whoever vanishes when. The holder of the lease is the only one who writes to the trial.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.optuna_private import FrozenStudy, id_of, set_id
from hpo.storage.connection.guarded import Query, Rows, Statement
from hpo.storage.optuna.changes import Changes
from hpo.storage.optuna.rows import Identity
from hpo.storage.optuna.storage import OptunaStorage
from hpo.storage.optuna.studies import mark
from hpo.storage.rows import Lease


class TrialBuffer(BaseStorage):
    """A storage as the work on one trial sees it: its study as at the last look, and `trial` with its changes.

    What belongs to other studies, and to this study as a whole, is the storage's own.
    """

    def __init__(
        self,
        storage: OptunaStorage,
        study_id: int,
        study_name: str,
        direction: StudyDirection,
        trial: FrozenTrial,
        lease: Lease | None = None,
    ) -> None:
        self.study_id = study_id
        self.trial = _copy(trial)
        self.changes = Changes()
        """What has not been written yet."""
        self.lease = lease
        """The lease of the trial's cell; what is no longer that cell's is not written to."""
        self.storage = storage
        self._study_name = study_name
        self._direction = direction
        self.invalidate()

    def move(self, study_id: int, trial_id: int, number: int) -> None:
        """Go on as this trial: the study has been made again."""
        self.study_id = study_id
        self.trial.number = number
        set_id(self.trial, trial_id)
        self.invalidate()

    def statements(self) -> list[Statement]:
        """What has not been written yet; from now on it counts as written."""
        cell = None if self.lease is None else self.lease.cell.id
        written, self.changes = self.changes.statements(id_of(self.trial), cell), Changes()
        return written

    def flush(self) -> None:
        """Write the changes now."""
        if self.changes != Changes():
            self.storage.execute(id_of(self.trial), self.statements())

    # What the pruner reads

    def prefetch_query(self) -> Query | None:
        """What the pruner will ask the database, to be read with the next write; None as long as that isn't known."""
        needs_unfinished = self.storage.cache(self.study_id).pruner_needs_unfinished
        return None if needs_unfinished is None else self.storage.delta_query(self.study_id, needs_unfinished)

    def invalidate(self, prefetched: Rows | None = None) -> None:
        """Let the next question be answered by what has just been read for the pruner, or else by the database."""
        self._is_fresh = self._unfinished_are_fresh = False
        if prefetched is not None:
            with_unfinished = bool(self.storage.cache(self.study_id).pruner_needs_unfinished)
            self._is_fresh = self.storage.apply(self.study_id, prefetched, self._is_mine)
            self._unfinished_are_fresh = self._is_fresh and with_unfinished

    def note_what_the_pruner_read(self) -> None:
        """The pruner has been asked since the last look: keep in mind what it needed."""
        if self._is_fresh:
            self.storage.cache(self.study_id).pruner_needs_unfinished = self._unfinished_are_fresh

    def _refresh(self, with_unfinished: bool) -> None:
        if not self._is_fresh or (with_unfinished and not self._unfinished_are_fresh):
            self.storage.refresh(self.study_id, with_unfinished, self._is_mine)
            self._is_fresh, self._unfinished_are_fresh = True, with_unfinished

    def _is_mine(self, found: Identity | None) -> bool:
        """Whether what has the study's id is still that study."""
        if found is None or found.name != self._study_name:
            return False
        return self.lease is None or found.mark == mark(self.lease.study_uuid)

    # The study

    def get_study_id_from_name(self, study_name: str) -> int:
        return self.study_id if study_name == self._study_name else self.storage.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._study_name if study_id == self.study_id else self.storage.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [self._direction] if study_id == self.study_id else self.storage.get_study_directions(study_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if study_id != self.study_id:
            return self.storage.get_all_trials(study_id, deepcopy, states)
        wanted = [state for state in TrialState if states is None or state in states]
        self._refresh(any(not state.is_finished() for state in wanted))
        found = self.storage.cached_trials(study_id, wanted)
        if TrialState.RUNNING in wanted:
            mine = _copy(self.trial)
            found = [mine if id_of(trial) == id_of(mine) else trial for trial in found]
        return copy.deepcopy(found) if deepcopy else found

    # The trial; these are called for that of the buffer alone.

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return _copy(self.trial) if trial_id == id_of(self.trial) else self.storage.get_trial(trial_id)

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

    # The storage's own

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return self.storage.create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        self.storage.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.storage.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.storage.set_study_system_attr(study_id, key, value)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self.storage.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.storage.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        return self.storage.get_all_studies()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self.storage.create_new_trial(study_id, template_trial)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def remove_session(self) -> None:
        self.storage.remove_session()


def _copy(trial: FrozenTrial) -> FrozenTrial:
    """What Optuna is given it may change, and so may a buffer."""
    copied = copy.copy(trial)
    for name in ("params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
        setattr(copied, name, dict(getattr(trial, name)))
    return copied
