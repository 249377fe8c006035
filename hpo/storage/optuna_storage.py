"""Optuna's storage on our connections: its own schema, read by Optuna's other tools as any other, at less cost.

Optuna's RDBStorage sends several statements for each thing that is read or written of a trial. Here finished trials are
read once and kept; what is new since the last look at a study, and what is not finished, takes one statement, however
many trials that is; and a trial's values and attributes are written in one. The rest is RDBStorage's own work.

Each look also sees whether the study is still the one that was read. If it is another one of the same id, or has been
made again, all is read anew.
"""

from __future__ import annotations

import copy
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from itertools import chain
from operator import attrgetter
from threading import Lock
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import bindparam, select

from hpo.errors import OptunaStudyGone
from hpo.storage.database import Database
from hpo.storage.optuna_changes import Changes
from hpo.storage.optuna_rows import OPEN, Identity, new_trials, one_trial, read_identity, read_trials, trials
from hpo.storage.retry import Retry
from hpo.storage.together import Answer, Reading, Write, together

MOST_OPEN = 1000
"""Unfinished trials that are asked for by name; beyond that, all from the first of them on are read."""

_number = attrgetter("number")
_MAY_CHANGE = select(trials.c.trial_id).where(trials.c.trial_id == bindparam("open_trial"), trials.c.state.in_(OPEN))


class Known:
    """What has been read of a study's trials."""

    def __init__(self) -> None:
        self.identity: Identity | None = None
        """None before the first look."""
        self.finished: defaultdict[TrialState, list[FrozenTrial]] = defaultdict(list)
        """By number."""
        self.finished_ids: set[int] = set()
        self.latest: FrozenTrial | None = None
        """Of the finished ones that with the highest id."""
        self.open: dict[int, FrozenTrial] = {}
        """By id, as they were at the last look."""
        self.last = -1
        """The highest id that has been seen. A study's trials are made one after the other, so none follows below."""
        self.pruner_asks_for_open: bool | None = None
        """Whether the study's pruner wants to know more of open trials than that they are; None before it was asked."""

    def is_of(self, found: Identity) -> bool:
        """Whether it has been read of the study that was found now."""
        if self.identity is None:
            return True
        same = (found.name, found.mark) == (self.identity.name, self.identity.mark)
        return same and (self.latest is None or self.latest.datetime_start == found.latest_started)

    def add(self, trial: FrozenTrial) -> None:
        """Keep a trial that has been read."""
        self.last = max(self.last, trial._trial_id)
        if not trial.state.is_finished():
            self.open[trial._trial_id] = trial
        elif trial._trial_id not in self.finished_ids:
            insort(self.finished[trial.state], trial, key=_number)
            self.finished_ids.add(trial._trial_id)
            if self.latest is None or trial._trial_id > self.latest._trial_id:
                self.latest = trial


class _Retried:
    """Optuna's storage, each of whose calls is tried again while the database is away."""

    def __init__(self, rdb: RDBStorage, retry: Retry) -> None:
        self._rdb, self._retry = rdb, retry

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._rdb, name)
        return lambda *args: self._retry(lambda: method(*args))


class OptunaStorage(BaseStorage):
    """Optuna's storage; `rdb` is Optuna's own on the same connections."""

    def __init__(self, database: Database, rdb: RDBStorage) -> None:
        self.database = database
        self._rdb = cast(RDBStorage, _Retried(rdb, database.retry))
        self._known: defaultdict[int, Known] = defaultdict(Known)
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
        if not self._write(trial_id, changes.writes(trial_id)):
            self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)

    def _write(self, trial_id: int, writes: Sequence[Write]) -> bool:
        """Whether the trial is there and not finished; nothing is written otherwise."""
        return together(self.database, _MAY_CHANGE, {"open_trial": trial_id}, writes) is not None

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
        with self._looking:
            known = self._look(study_id, details_of_open=any(state in OPEN for state in wanted))
            lists = [known.finished[state] for state in wanted if state in known.finished]
            lists.append([trial for trial in known.open.values() if trial.state in wanted])
        found = list(chain.from_iterable(lists))
        if len(list(filter(None, lists))) > 1:
            found.sort(key=_number)
        return copy.deepcopy(found) if deepcopy else found

    def _look(self, study_id: int, details_of_open: bool) -> Known:
        while True:
            reading = self.news(study_id, details_of_open)
            query, parameters = reading.query, reading.parameters
            rows = self.database.read(lambda connection: connection.execute(query, parameters).all())  # noqa: B023
            if self.learn(study_id, rows):
                return self._known[study_id]

    def news(self, study_id: int, details_of_open: bool) -> Reading:
        """A look at what is new in a study since the last one; `learn` takes what it finds."""
        known = self._known[study_id]
        few = len(known.open) <= MOST_OPEN
        parameters = {
            "of_study": study_id,
            "known": known.last if few else min(known.open) - 1,
            "known_open": list(known.open) if few else [],
            "known_latest": known.latest._trial_id if known.latest else -1,
        }
        return Reading(new_trials(details_of_open), parameters)

    def learn(self, study_id: int, answer: Answer) -> bool:
        """Keep what a look has found; False if all is to be read anew, for it is another study by now.

        Raises:
            OptunaStudyGone: there is no such study.
        """
        known, found = self._known[study_id], read_identity(answer)
        if found is None or not known.is_of(found):
            self._forget(study_id)
            if found is None:
                raise OptunaStudyGone(f"there is no Optuna study {study_id}")
            return False
        known.identity, known.open = found, {}
        for trial in read_trials(answer):
            known.add(trial)
        return True

    def _forget(self, study_id: int) -> None:
        if self._known.pop(study_id, Known()).identity is not None:
            self.when_replaced()

    def remove_session(self) -> None:
        self._rdb.remove_session()
