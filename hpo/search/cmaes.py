"""CMA-ES that reads nothing but numbers: where the search stands follows from the trials themselves.

Optuna's own sampler keeps its state in the database as a pickle, and unpickling a text runs whatever it says: who may
write a trial's attributes could run code wherever the next trial is proposed. Here the generations are gone through
again from the first, which takes a millisecond for a hundred trials; what attributes say beside that is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial

Solution = tuple[np.ndarray[Any, Any], float]


class ReplayedCmaEs(CmaEsSampler):
    """Optuna's sampler; a generation is told those of its trials that were done first, as many as it needs."""

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> None:
        """Never from what is stored: the caller begins a new one, which is told the generations so far."""
        self._completed = completed_trials

    def _init_optimizer(self, trans: Any, direction: Any) -> Any:
        optimizer: Any = super()._init_optimizer(trans, direction)
        while True:
            generation = self._get_solution_trials(self._completed, optimizer.generation)
            if len(generation) < optimizer.population_size:
                return optimizer
            told = _done_first(generation, optimizer.population_size)
            optimizer.tell([self._solution(trial, trans, direction) for trial in told])

    def _solution(self, trial: FrozenTrial, trans: Any, direction: Any) -> Solution:
        assert trial.value is not None  # it is complete
        sign = 1.0 if direction.name == "MINIMIZE" else -1.0
        return trans.transform(trial.params), sign * trial.value


def _done_first(trials: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
    """Those that every later look finds too, in the order of their numbers."""

    def when(trial: FrozenTrial) -> tuple[datetime, int]:
        return trial.datetime_complete or datetime.max, trial.number

    return sorted(sorted(trials, key=when)[:count], key=lambda trial: trial.number)
