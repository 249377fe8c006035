"""Where data and caches lie on a node, paths that can't leave them, and a lock between its processes.

Data belongs to the node: a study file names a data set by a path relative to `HPO_DATA_DIR`, and each node
has its own.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from hpo.errors import DataError


def data_dir() -> Path:
    """The folder that holds the data sets: `HPO_DATA_DIR`, else `~/.cache/hpo/data`."""
    return Path(os.environ.get("HPO_DATA_DIR") or "~/.cache/hpo/data").expanduser()


def cache_dir() -> Path:
    """The folder for what can be made again: `HPO_CACHE_DIR`, else `~/.cache/hpo/cache`."""
    return Path(os.environ.get("HPO_CACHE_DIR") or "~/.cache/hpo/cache").expanduser()


def _stays_inside(path: str) -> str:
    # A study file may come from elsewhere: it must not reach the node's other files.
    if not path.isprintable():
        raise ValueError(f"{path!r} has control characters or characters that can't be printed")
    if "\\" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path!r} is not a path inside HPO_DATA_DIR: write it relative, with / and without ..")
    return path


InDataDir = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_stays_inside)]
"""A path relative to `data_dir()` that can't leave it."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file beside `path`, one process of this node at a time; it is freed if the process dies.

    Raises:
        DataError: the lock file can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        hint = "set HPO_CACHE_DIR and HPO_DATA_DIR to folders that can be written"
        raise DataError(f"can't write in {path.parent}: {error.strerror}", hint=hint) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
