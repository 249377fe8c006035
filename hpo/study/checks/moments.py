"""Claims that compare a difference with itself: two moments of a trial that are one epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from hpo.errors import StudyFileError
from hpo.study import Pair, StudySpec


def same_moments(study: StudySpec) -> Iterator[str]:
    """A line for every claim of which both pairs are the same arms at the same epoch."""
    for number, claim in enumerate(study.claims):
        own, *others = claim.comparison.pairs
        with suppress(KeyError, TypeError, ValueError, OverflowError, StudyFileError):
            if others and _epochs(study, own) == _epochs(study, others[0]):
                where = f"claims.{number}.{claim.side}.against"
                yield f"{where}: compares a difference with itself: both moments are the same {study.unit}"


def _epochs(study: StudySpec, pair: Pair) -> list[tuple[str, int]]:
    arms = [arm for name in (pair.arm, pair.than) for arm in study.meant_by(name)]
    return [(arm, study.arm(arm).length if pair.at is None else study.epoch_at(arm, pair.at)) for arm in arms]
