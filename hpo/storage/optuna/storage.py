"""Optuna's storage on our connections: its own schema, read by Optuna's other tools as any other, at less cost.

Optuna's RDBStorage sends several statements for each thing that is read or written of a trial. Here finished trials are
read once and kept; what is new since the last look at a study, and what is not finished, takes one statement, however
many trials that is; and a trial's values and attributes are written in one. The rest is RDBStorage's own work.

Each look also sees whether the study is still the one that was read. If it is another one of the same id, or has been
made again, all is read anew.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Sequence
from functools import partial
from threading import Lock
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, bindparam, select

from hpo.errors import OptunaStudyGone
from hpo.optuna_private import TRIALS, FrozenStudy, id_of
from hpo.storage.connection.database import Database
from hpo.storage.connection.guarded import Query, Rows, Statement, execute_guarded
from hpo.storage.connection.retry import Retry
from hpo.storage.optuna.changes import Changes
from hpo.storage.optuna.rows import OPEN, Identity, new_trials, one_trial, read_identity, read_trials
from hpo.storage.optuna.study_cache import StudyCache

MOST_OPEN = 1000
"""Unfinished trials that are asked for by name; beyond that, all from the first of them on are read."""

_MAY_CHANGE = select(TRIALS.c.trial_id).where(TRIALS.c.trial_id == bindparam("open_trial"), TRIALS.c.state.in_(OPEN))


IsExpected = Callable[[Identity | None], bool]
"""Whether what has been found is the study that is meant."""


def _whatever(found: Identity | None) -> bool:
    return True


def _rows_of(query: Query, connection: Connection) -> Rows:
    return connection.execute(query.select, query.parameters).all()


class _Retried:
    """Optuna's storage, each of whose calls is tried again while the database is away."""

    def __init__(self, rdb: RDBStorage, retry: Retry) -> None:
        self._rdb = rdb
        self._retry = retry

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._rdb, name)
        return lambda *args: self._retry(lambda: method(*args))


class OptunaStorage(BaseStorage):
    """Optuna's storage; `rdb` is Optuna's own on the same connections."""

    def __init__(self, database: Database, rdb: RDBStorage) -> None:
        self.database = database
        self._rdb = cast(RDBStorage, _Retried(rdb, database.retry))
        self._caches: defaultdict[int, StudyCache] = defaultdict(StudyCache)
        self._looking = Lock()
        self.when_replaced: Callable[[], None] = lambda: None
        """Is called when a study that has been read is gone, or has given its id to another one."""

    # Studies

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return self._rdb.create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        self._rdb.delete_study(study_id)
        with self._looking:
            self._forget(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._rdb.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._rdb.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._rdb.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._rdb.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._rdb.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._rdb.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._rdb.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        return self._rdb.get_all_studies()

    # Trials, written

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self._rdb.create_new_trial(study_id, template_trial)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self._rdb.set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.write(trial_id, Changes(intermediate={step: intermediate_value}))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.write(trial_id, Changes(user_attrs={key: value}))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.write(trial_id, Changes(system_attrs={key: value}))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        if not state.is_finished():
            return self._rdb.set_trial_state_values(trial_id, state, values)
        self.write(trial_id, Changes(values=values or (), state=state))
        return True

    def write(self, trial_id: int, changes: Changes) -> None:
        """Write changes to a trial, all of them at once.

        Raises:
            KeyError: there is no such trial.
            UpdateFinishedTrialError: it is finished.
        """
        if not self.execute(trial_id, changes.statements(trial_id)):
            self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)

    def execute(self, trial_id: int, statements: Sequence[Statement]) -> bool:
        """Whether the trial is there and not finished; nothing is written otherwise."""
        return execute_guarded(self.database, _MAY_CHANGE, {"open_trial": trial_id}, statements) is not None

    # Trials, read

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._rdb.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        parameters = {"trial_id": trial_id}
        rows = self.database.read(lambda connection: connection.execute(one_trial(), parameters).all())
        found = read_trials(rows)
        if not found:
            raise KeyError(f"there is no trial {trial_id}")
        return found[0]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        wanted = [state for state in TrialState if states is None or state in states]
        self.refresh(study_id, with_unfinished=any(state in OPEN for state in wanted))
        found = self.cached_trials(study_id, wanted)
        return copy.deepcopy(found) if deepcopy else found

    # What has been read

    def cache(self, study_id: int) -> StudyCache:
        """What is known of a study."""
        return self._caches[study_id]

    def cached_trials(self, study_id: int, states: Collection[TrialState]) -> list[FrozenTrial]:
        """The trials of a study in these states, as at the last look."""
        with self._looking:
            return self._caches[study_id].trials(states)

    def refresh(self, study_id: int, with_unfinished: bool, is_expected: IsExpected = _whatever) -> None:
        """Read what is new in a study since the last look, and what is unfinished in more detail if asked for.

        Raises:
            OptunaStudyGone: there is no such study, or it is not the one that is expected.
        """
        while True:
            query = self.delta_query(study_id, with_unfinished)
            rows = self.database.read(partial(_rows_of, query))
            if self.apply(study_id, rows, is_expected):
                return

    def delta_query(self, study_id: int, with_unfinished: bool) -> Query:
        """A look at what is new in a study since the last one; `apply` takes what it finds."""
        known = self._caches[study_id]
        few = len(known.unfinished) <= MOST_OPEN
        parameters = {
            "of_study": study_id,
            "known": known.last if few else min(known.unfinished) - 1,
            "known_open": list(known.unfinished) if few else [],
            "known_latest": id_of(known.latest) if known.latest else -1,
        }
        return Query(new_trials(with_unfinished), parameters)

    def apply(self, study_id: int, rows: Rows, is_expected: IsExpected = _whatever) -> bool:
        """Keep what a look has found; False if all is to be read anew, for it is another study by now.

        Raises:
            OptunaStudyGone: there is no such study, or it is not the one that is expected.
        """
        found = read_identity(rows)
        if not is_expected(found):
            raise OptunaStudyGone(f"the Optuna study {study_id} is missing")
        with self._looking:
            known = self._caches[study_id]
            if found is None or not known.is_of(found):
                self._forget(study_id)
                if found is None:
                    raise OptunaStudyGone(f"there is no Optuna study {study_id}")
                return False
            known.identity, known.unfinished = found, {}
            for trial in read_trials(rows):
                known.add(trial)
            return True

    def _forget(self, study_id: int) -> None:
        if self._caches.pop(study_id, StudyCache()).identity is not None:
            self.when_replaced()

    def remove_session(self) -> None:
        self._rdb.remove_session()
