"""Which scores a policy reads, found by asking it: what nobody reads need not be measured."""

from __future__ import annotations

from hpo.trainers.moving.clock import Observation, Score


class Noted:
    """An observation that notes of which splits the scores are read."""

    def __init__(self, seen: Observation) -> None:
        self.read: set[str] = set()
        """The splits, `train` or `validation`."""
        self.clock = seen.clock
        self.base = seen.base
        self.lr = seen.lr
        self.highest_lr = seen.highest_lr
        self._seen = seen

    @property
    def train(self) -> Score | None:
        self.read.add("train")
        return self._seen.train

    @property
    def validation(self) -> Score | None:
        self.read.add("validation")
        return self._seen.validation

    def measured(self, metric: str) -> float | None:
        """What the observation says, noted."""
        self.read.add(metric.partition("_")[0])
        return self._seen.measured(metric)
