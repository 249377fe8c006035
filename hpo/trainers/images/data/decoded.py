"""Images that are decoded once per node and kept in `HPO_CACHE_DIR`, for as long as the files are what was decoded.

Workers map what is kept instead of reading it: its pages lie in memory once, however many workers there are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from hpo.errors import DataError
from hpo.trainers.images.data import npz
from hpo.trainers.images.data.folders import locked
from hpo.trainers.images.data.images import Dataset

_log = logging.getLogger(__name__)


def decoded(place: Path, key: str, decode: Callable[[], Dataset]) -> Dataset:
    """What `decode` gives, or what is kept of it.

    `place` is what all versions of these images have in their names, and `key` differs if the files do.

    Raises:
        DataError: it can't be kept; or as `decode`.
    """
    cached = place.with_name(f"{place.name}-{key}.npz")
    if dataset := _kept(cached):
        return dataset
    with locked(place):
        if dataset := _kept(cached):  # another process decoded them meanwhile
            return dataset
        dataset = decode()
        _keep(dataset, cached, place)
    return _kept(cached) or dataset


def _kept(path: Path) -> Dataset | None:
    if not path.exists():
        return None
    try:
        return npz.mapped(path)
    except DataError as error:
        _log.warning("the cache is damaged, so the images are decoded again: %s", error)
        return None


def _keep(dataset: Dataset, cached: Path, place: Path) -> None:
    """Write what was decoded, and remove what was decoded before the files changed."""
    try:
        npz.write(cached, dataset)
        for former in place.parent.glob(f"{place.name}-*.npz"):
            if former != cached:
                former.unlink(missing_ok=True)  # whoever has mapped it keeps it
    except OSError as error:
        raise DataError(
            f"can't write {cached}: {error.strerror}", hint="set HPO_CACHE_DIR to a folder with enough space"
        ) from error
