"""What has made a trial what it is by a certain step: two trials of which that is the same have the same state there.

It is the seed, the parts that do not move, and the learning rate and strengths of every step so far. So trials that
differ only in what comes later are one trial up to there, and a checkpoint of one can be continued by the other.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from itertools import takewhile

from hpo.train.clock import Clock, Observation
from hpo.train.policies import AccuracyGap, LossGap
from hpo.train.regularizers import BatchSize, RegularizerSpec
from hpo.train.trial import TrialSpec


class Prefix:
    """The prefixes of one trial, asked for in the order of their steps."""

    def __init__(self, trial: TrialSpec, seed: int, steps_per_epoch: int) -> None:
        self._trial, self._clock = trial, Clock(0, steps_per_epoch, trial.epochs)
        self._moving = {name: spec for name, spec in trial.regularizers.items() if _follows_the_clock(trial, spec)}
        self._strengths = {name: spec.strength for name, spec in self._moving.items()}
        self._hash = hashlib.sha256(json.dumps([_still(trial), seed, steps_per_epoch]).encode())

    def digest(self, step: int) -> str:
        """Of the first `step` optimizer steps; not fewer than were asked for before."""
        while self._clock.step < step:
            self._hash.update(struct.pack(f"<{1 + len(self._moving)}d", *self._values()))
            self._clock = Clock(self._clock.step + 1, self._clock.steps_per_epoch, self._clock.epochs)
        return self._hash.copy().hexdigest()

    def epochs(self) -> Iterator[str]:
        """The digests after each epoch of the trial, the first one first."""
        for epoch in range(1, self._trial.epochs + 1):
            yield self.digest(epoch * self._clock.steps_per_epoch)

    def _values(self) -> Iterator[float]:
        lr, peak = self._trial.lr(self._clock), self._trial.lr.peak
        yield lr
        for name, spec in self._moving.items():
            observation = Observation(self._clock, spec.strength, lr, peak, None, None)
            self._strengths[name] = min(spec.policy(self._strengths[name], observation), spec.ceiling)
            yield self._strengths[name]


def common_epochs(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """For how many whole epochs two trials are the same, by the digests after each of their epochs."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _follows_the_clock(trial: TrialSpec, spec: RegularizerSpec) -> bool:
    """Whether the strength at a step is known beforehand; and a moving batch size decides which steps there are.

    A strength may follow the learning rate, which isn't known either where a plateau lowers it.
    """
    answers = isinstance(spec.policy, AccuracyGap | LossGap) or trial.plateau is not None
    return not answers and not isinstance(spec, BatchSize)


def _still(trial: TrialSpec) -> dict[str, object]:
    """The trial without what `Prefix` follows step by step, and without its length, which only the clock looks at."""
    table = trial.model_dump(mode="json", exclude={"lr", "epochs"})
    for name, spec in trial.regularizers.items():
        if _follows_the_clock(trial, spec):
            table["regularizers"][name] = spec.model_dump(mode="json", exclude={"strength", "policy"})
        else:  # it sees the schedule's peak and its length too
            table["regularizers"][name] |= {"peak": trial.lr.peak, "epochs": trial.epochs}
    return table
