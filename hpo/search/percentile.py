"""A pruner that stops a trial whose best value so far is worse than a percentile of the finished ones at the same step.

It decides as Optuna's own does (`optuna.pruners.PercentilePruner`), which gathers the values of all finished trials at
each look; this one takes each trial's once.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState


class PercentilePruner(BasePruner):
    """Keeps the best `percentile` of a hundred, once `startup` trials are complete. For one study."""

    def __init__(self, percentile: float, startup: int) -> None:
        self._percentile = percentile
        self._startup = startup
        self._seen: set[int] = set()
        self._values: defaultdict[int, array[float]] = defaultdict(lambda: array("d"))
        """Step -> what the trials that were seen have reported there."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < max(self._startup, 1) or trial.last_step is None:
            return False
        self._see(complete)
        reported = [value for value in trial.intermediate_values.values() if not math.isnan(value)]
        if not reported:
            return True
        others = self._values[trial.last_step]
        if not others:
            return False
        if study.direction == StudyDirection.MINIMIZE:
            return min(reported) > float(np.nanpercentile(others, self._percentile))
        return max(reported) < float(np.nanpercentile(others, 100.0 - self._percentile))

    def _see(self, complete: list[FrozenTrial]) -> None:
        unseen = len(complete) - len(self._seen)
        for trial in reversed(complete):  # in the order of their beginnings, so those just finished are near the end
            if unseen == 0:
                return
            if trial.number in self._seen:
                continue
            self._seen.add(trial.number)
            unseen -= 1
            for step, value in trial.intermediate_values.items():
                self._values[step].append(value)
