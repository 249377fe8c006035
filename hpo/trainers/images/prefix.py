"""What has made a trial what it is by a certain step: two trials of which that is the same have the same state there.

It is the seed, the parts that do not move, and the learning rate and strengths of every step so far. So trials that
differ only in what comes later are one trial up to there, and a checkpoint of one can be continued by the other.

A policy that looks at scores is known beforehand only up to its first look: from there on two trials are the same if
their policies are, as a whole. Which policies look, and when, is found by asking them, with scores that can't be read.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from typing import Any, NoReturn, cast

from hpo.trainers.images.regularizers import RegularizerSpec
from hpo.trainers.images.trial import TrialSpec
from hpo.trainers.moving.clock import Clock, Observation, Score


class ScoresRead(Exception):
    """A policy has looked at scores, which are not known before training."""


class Unscored:
    """What a policy sees of a step before training: all but the scores, which raise."""

    def __init__(self, clock: Clock, base: float, lr: float, highest_lr: float) -> None:
        self.clock = clock
        self.base = base
        self.lr = lr
        self.highest_lr = highest_lr
        self.was_read = False

    @property
    def train(self) -> Score | None:
        return self._refuse()

    @property
    def validation(self) -> Score | None:
        return self._refuse()

    def measured(self, metric: str) -> float | None:
        """Raise, as the scores themselves do."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        self.was_read = True
        raise ScoresRead


class Prefix:
    """The prefixes of one trial, asked for in the order of their steps."""

    def __init__(self, trial: TrialSpec, seed: int, steps_per_epoch: int) -> None:
        self._trial = trial
        self._clock = Clock(0, steps_per_epoch, trial.epochs)
        self._highest_lr = trial.lr(self._clock)
        self._strengths = {name: self._base(spec) for name, spec in trial.regularizers.items()}
        self._moving = {
            name: spec
            for name, spec in trial.regularizers.items()
            if _is_known(trial, spec) and self._next(name, spec) is not None
        }
        self._hash = hashlib.sha256(json.dumps([self._still(), seed, steps_per_epoch]).encode())

    def digest(self, step: int) -> str:
        """Digest the first `step` optimizer steps; not fewer than were asked for before."""
        while self._clock.step < step:
            self._hash.update(self._moved())
            self._clock = Clock(self._clock.step + 1, self._clock.steps_per_epoch, self._clock.epochs)
            self._highest_lr = max(self._highest_lr, self._trial.lr(self._clock))
        return self._hash.copy().hexdigest()

    def epochs(self) -> Iterator[str]:
        """The digests after each epoch of the trial, the first one first."""
        for epoch in range(1, self._trial.epochs + 1):
            yield self.digest(epoch * self._clock.steps_per_epoch)

    def _moved(self) -> bytes:
        """What moves at the present step; a policy that looks at scores now is told as a whole, once and for all."""
        values, looking = [self._trial.lr(self._clock)], []
        for name, spec in self._moving.items():
            strength = self._next(name, spec)
            if strength is None:
                looking.append(name)
            else:
                self._strengths[name] = strength
                values.append(strength)
        parts = [struct.pack(f"<{len(values)}d", *values)]
        for name in looking:
            spec = self._moving.pop(name)
            parts.append(json.dumps([name, spec.model_dump(mode="json") | self._seen_by_policies()]).encode())
        return b"".join(parts)

    def _next(self, name: str, spec: RegularizerSpec) -> float | None:
        """The strength at the present step; None if its policy looks at scores."""
        seen = Unscored(self._clock, self._base(spec), self._trial.lr(self._clock), self._highest_lr)
        try:
            strength = spec.policy(self._strengths[name], cast(Observation, seen))
        except ScoresRead:
            return None
        return None if seen.was_read else min(strength, spec.ceiling)

    def _base(self, spec: RegularizerSpec) -> float:
        return spec.base(self._trial.lr.peak, self._clock.total_steps)

    def _still(self) -> dict[str, Any]:
        """The trial without what is followed step by step, without its length, which only the clock looks at, and
        without how often it is scored, on which nothing depends."""
        table = self._trial.model_dump(mode="json", exclude={"lr", "epochs", "score_every"})
        for name, spec in self._trial.regularizers.items():
            if name in self._moving:
                table["regularizers"][name] = spec.model_dump(mode="json", exclude={"strength", "timescale", "policy"})
            else:
                table["regularizers"][name] |= self._seen_by_policies()
        return table

    def _seen_by_policies(self) -> dict[str, Any]:
        """What a policy may see of the trial besides its own fields."""
        return {"peak": self._trial.lr.peak, "epochs": self._trial.epochs}


def prefixes(trial: TrialSpec, images: int) -> tuple[str, ...]:
    """The digest after each epoch of a trial on so many training images, whatever its seed."""
    return tuple(Prefix(trial, 0, images // min(trial.batch_size, images)).epochs())


def _is_known(trial: TrialSpec, spec: RegularizerSpec) -> bool:
    """Whether the steps, and the learning rate that a policy may follow, are known before training."""
    return trial.plateau is None and not spec.decides_steps
