"""Where data and caches lie on a node, paths that can't leave them, and a lock between its processes.

Data belongs to the node: a study file names a data set by a path relative to `HPO_DATA_DIR`, and each node
has its own.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from hpo.errors import DataError
from hpo.process import pulse
from hpo.trainers.images.data.waiting import POLL_SECONDS


def data_dir() -> Path:
    """The folder that holds the data sets: `HPO_DATA_DIR`, else `~/.cache/hpo/data`.

    Raises:
        DataError: it lies in a home folder, and there is none.
    """
    return _folder("HPO_DATA_DIR", "~/.cache/hpo/data")


def cache_dir() -> Path:
    """The folder for what can be made again: `HPO_CACHE_DIR`, else `~/.cache/hpo/cache`.

    Raises:
        DataError: it lies in a home folder, and there is none.
    """
    return _folder("HPO_CACHE_DIR", "~/.cache/hpo/cache")


def check_folders() -> None:
    """Whether this machine can hold images, asked before there is anything to read. Makes no folder.

    Raises:
        DataError: one of the two folders can't be named, is none, or can't be used by this user.
    """
    for variable, folder, needed in (
        ("HPO_DATA_DIR", data_dir(), os.R_OK | os.X_OK),
        ("HPO_CACHE_DIR", cache_dir(), os.R_OK | os.W_OK | os.X_OK),
    ):
        hint = f"set {variable} to another folder"
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{folder} is not a folder", hint=hint)
        if folder.exists() and not os.access(folder, needed):
            raise DataError(f"this user may not {'write' if needed & os.W_OK else 'read'} in {folder}", hint=hint)


def _folder(variable: str, default: str) -> Path:
    given = os.environ.get(variable) or default
    try:
        return Path(given).expanduser()
    except RuntimeError:  # HOME is not set, and the user is none of this machine's
        raise DataError(
            f"there is no home folder for {given}", hint=f"set {variable} to a folder, or HOME to a home folder"
        ) from None


def _stays_inside(path: str) -> str:
    # A study file may come from elsewhere: it must not reach the node's other files.
    if not path.isprintable():
        raise ValueError(f"{path!r} contains control characters or characters that can't be printed")
    if "\\" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path!r} is not a path inside HPO_DATA_DIR: write it relative, with / and without ..")
    return path


InDataDir = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_stays_inside)]
"""A path relative to `data_dir()` that can't leave it."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file beside `path`, one process of this node at a time; it is freed if the process dies.

    Raises:
        DataError: the lock file can't be made or locked.
    """
    # Opened so that a pipe in its place can't keep us waiting, and so that nothing is cut off.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _not_writable(path.parent, error) from error
    try:
        while not _taken(lock, path.parent):
            pulse.beat()  # who holds it is at work, or else is ended by its own watcher
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(lock)


def _taken(lock: int, folder: Path) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        raise _not_writable(folder, error) from error
    return True


def _not_writable(folder: Path, error: OSError) -> DataError:
    hint = "set HPO_CACHE_DIR and HPO_DATA_DIR to folders that can be written"
    return DataError(f"can't write in {folder}: {error.strerror}", hint=hint)
