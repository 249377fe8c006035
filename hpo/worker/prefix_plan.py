"""Cells whose trials begin alike: one of them trains what they have in common, the others go on from its checkpoint.

Two trials with the same seed are one trial until they differ, as schedules do that share their first stages; the
trainer knows for how long (`Trainer.prefixes`). The cell with the lowest id leads. One that follows waits, claimed by
nobody, until the leader has come to where they part; if the leader fails before, it trains by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from itertools import takewhile
from typing import Any

from hpo.search.space import Params
from hpo.storage.rows import Cell, PrefixCheckpoint
from hpo.study import StudySpec


class PrefixPlan:
    """Which cells of a study have how much in common."""

    def __init__(self, study: StudySpec, digests: Callable[[Any], Sequence[str]]) -> None:
        self._study = study
        self._digests = digests
        self._prefixes = cache(self._prefixes_at)

    def common(self, one: Cell, other: Cell) -> int:
        """Count for how many epochs the cells' trials are the same."""
        if one.seed != other.seed or not (self._takes_part(one) and self._takes_part(other)):
            return 0
        return common_epochs(self._prefixes_of(one), self._prefixes_of(other))

    def begin(
        self, cell: Cell, cells: Sequence[Cell], kept: Collection[PrefixCheckpoint]
    ) -> tuple[PrefixCheckpoint | None, PrefixCheckpoint | None]:
        """Where `cell` can go on from at once, of what is `kept`; and for what it had better wait.

        At most one of the two is given; neither, if nobody trains what this one begins with.
        """
        common = {other.id: self.common(cell, other) for other in cells if other.id != cell.id}
        now = max((fork for fork in kept if 0 < fork.epochs <= common.get(fork.cell, 0)), key=_epochs, default=None)
        leading = [
            PrefixCheckpoint(other.id, common[other.id])
            for other in cells
            if other.id < cell.id and other.is_open and other.epochs < common[other.id]
        ]
        later = max(leading, key=_epochs, default=None)
        if later is not None and later.epochs > (now.epochs if now else 0):
            return None, later
        return now, None

    def kept_for_others(self, cell: Cell, cells: Sequence[Cell]) -> frozenset[int]:
        """The epochs after which a checkpoint of `cell` will be of use to cells that are open, or to be planned."""
        others = [self.common(cell, other) for other in cells if other.id > cell.id and other.is_open]
        # The confirm phase of other arms is planned one by one; where nothing is searched, it is known beforehand.
        if cell.phase == "confirm":
            mine = self._prefixes_of(cell)
            others += [
                common_epochs(mine, self._prefixes(arm, (), cell.search))
                for arm, spec in self._study.arms.items()
                if arm != cell.arm and not spec.search
            ]
        return frozenset(others) - {0}

    def _takes_part(self, cell: Cell) -> bool:
        """Whether it is known what the cell trains, and that it will train all of it."""
        return cell.params is not None and (cell.phase != "search" or not self._study.arm(cell.arm).pruner.prunes)

    def _prefixes_of(self, cell: Cell) -> Sequence[str]:
        return self._prefixes(cell.arm, tuple(sorted((cell.params or {}).items())), cell.search)

    def _prefixes_at(self, arm: str, point: tuple[tuple[str, object], ...], search: int) -> Sequence[str]:
        params: Params = dict(point)  # type: ignore[arg-type]
        return self._digests(self._study.trial_of(arm, params, search))


def common_epochs(one: Sequence[str], other: Sequence[str]) -> int:
    """Count for how many whole epochs two trials are the same, by the digests after each of their epochs."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _epochs(fork: PrefixCheckpoint) -> int:
    return fork.epochs
