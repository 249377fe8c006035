"""What has been read of the trials of one Optuna study, and of which study it was read."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Collection
from itertools import chain
from operator import attrgetter

from optuna.trial import FrozenTrial, TrialState

from hpo.optuna_private import id_of
from hpo.storage.optuna.rows import Identity

_number = attrgetter("number")


class StudyCache:
    """The trials of one study; finished ones never change and are read once."""

    def __init__(self) -> None:
        self.identity: Identity | None = None
        """None before the first look."""
        self.finished: defaultdict[TrialState, list[FrozenTrial]] = defaultdict(list)
        """The finished trials by state, in the order of their numbers."""
        self.finished_ids: set[int] = set()
        self.latest: FrozenTrial | None = None
        """The finished trial with the highest id."""
        self.unfinished: dict[int, FrozenTrial] = {}
        """The others by id, as they were at the last look."""
        self.last = -1
        """The highest id that has been seen. A study's trials are made one after the other, so none follows below."""
        self.pruner_needs_unfinished: bool | None = None
        """Whether the study's pruner wants to know more of unfinished trials than that they are; None before it was
        asked."""

    def is_of(self, found: Identity) -> bool:
        """Whether it has been read of the study that was found now."""
        if self.identity is None:
            return True
        same = (found.name, found.mark) == (self.identity.name, self.identity.mark)
        return same and (self.latest is None or self.latest.datetime_start == found.latest_started)

    def add(self, trial: FrozenTrial) -> None:
        """Keep a trial that has been read."""
        trial_id = id_of(trial)
        self.last = max(self.last, trial_id)
        if not trial.state.is_finished():
            self.unfinished[trial_id] = trial
        elif trial_id not in self.finished_ids:
            insort(self.finished[trial.state], trial, key=_number)
            self.finished_ids.add(trial_id)
            if self.latest is None or trial_id > id_of(self.latest):
                self.latest = trial

    def trials(self, states: Collection[TrialState]) -> list[FrozenTrial]:
        """Those in one of these states, by number."""
        lists = [self.finished[state] for state in states if state in self.finished]
        lists.append([trial for trial in self.unfinished.values() if trial.state in states])
        found = list(chain.from_iterable(lists))
        if len(list(filter(None, lists))) > 1:
            found.sort(key=_number)
        return found
