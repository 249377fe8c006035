"""The data sets that a worker has read last, for as long as they are what its files hold.

The files are looked at once for every `scope`, which to a worker is a study: its trials get the images with which the
worker took it up, and whoever takes up another study gets what the files hold by then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import torch

from hpo.errors import DataError
from hpo.trainers.images.data import Data
from hpo.trainers.images.data.files import Identity
from hpo.trainers.images.data.images import Dataset, Splits
from hpo.trainers.images.data.source import Source
from hpo.trainers.images.data.splits import split

MOST = 2
"""Data sets that are kept, those used last."""
MOST_SPLITS = 2
"""Splits of a data set that are kept, which lie on the device."""
ATTEMPTS = 3
"""How often files are read that change meanwhile."""


@dataclass(frozen=True, slots=True)
class _Kept:
    identity: Identity
    dataset: Dataset
    scopes: set[Hashable] = field(default_factory=set)
    """The scopes for which the files were looked at, and were those that were read."""
    splits: OrderedDict[tuple[Data, torch.device], Splits] = field(default_factory=OrderedDict)
    """The splits used last, by what they are of and the device they lie on, with the test images."""


class DataCache:
    """Reads data sets, and keeps the last of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def load(self, source: Data, scope: Hashable = None) -> Dataset:
        """All images, on the CPU; without a `scope` the files are looked at in any case.

        Raises:
            TargetError: code that is to read them may not be imported, is not there, or has changed.
            DataError: they are missing or unreadable, or change while they are read.
        """
        return self._entry(source, scope).dataset

    def splits(self, source: Data, with_test: bool, device: torch.device, scope: Hashable = None) -> Splits:
        """What a trial may see of the images that `load` gave last, on `device`.

        Raises:
            DataError: they can't be divided as `source` says; or as `load`, if that was not called before.
        """
        kept = self._kept.get(_key(source, scope)) or self._entry(source, scope)
        place = (source, device)
        if place not in kept.splits:
            while len(kept.splits) >= MOST_SPLITS:
                kept.splits.popitem(last=False)
            kept.splits[place] = split(kept.dataset, source, with_test=True, device=device)
        kept.splits.move_to_end(place)
        splits = kept.splits[place]
        return splits if with_test else replace(splits, test=None)

    def _entry(self, source: Data, scope: Hashable) -> _Kept:
        key = _key(source, scope)
        kept = self._kept.get(key)
        if kept is None or not _holds(kept, source, scope):
            self._kept.pop(key, None)
            while len(self._kept) >= MOST:  # before reading: there may be no room for one more
                self._kept.popitem(last=False)
            kept = self._kept[key] = _read(source)
        self._kept.move_to_end(key)
        if scope is not None:
            kept.scopes.add(scope)
        return kept


def _key(source: Data, scope: Hashable) -> Hashable:
    # What is read is the same however it is split.
    read = source.model_copy(update={name: field.default for name, field in Source.model_fields.items()})
    # Two studies on images whose files aren't known must not take them from each other at every turn.
    return read if source.KNOWS_ITS_FILES else (read, scope)


def _holds(kept: _Kept, source: Data, scope: Hashable) -> bool:
    if scope is not None and scope in kept.scopes:
        return True
    return source.KNOWS_ITS_FILES and source.identity() == kept.identity


def _read(source: Data) -> _Kept:
    for _ in range(ATTEMPTS):
        before = source.identity()
        dataset = source.load()
        if source.identity() == before:
            return _Kept(before, dataset)
    raise DataError(
        f"the files of the {source.kind} images changed while they were read",
        hint="wait until they are copied, then try again",
    )


_cache = DataCache()
load, splits = _cache.load, _cache.splits
"""Those of the one cache of this process."""
