"""Files that images are read from: regular ones only, in slices, and by what a changed one is recognized.

A pipe or a device could keep a reader waiting for ever. A link may lead to a regular file, wherever that lies: who puts
links into a node's folders is its operator, never a study file.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hpo.errors import DataError
from hpo.process import pulse

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

SLICE_BYTES = 1 << 20
"""What is read between two signs of life."""

Identity = tuple[object, ...]
"""Equal as long as a source is the same; it says nothing about another node."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def file_identity(path: Path) -> Identity:
    """What a file that was written anew or replaced is recognized, even if its size and time are the old ones.

    Raises:
        DataError: there is no such file, or it is not a regular one.
    """
    pulse.beat()
    found = _status(path)
    # No program can set `st_ctime`, so it gives away a file that was written in place and given its old time again.
    return str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read it; each slice is a sign of life.

    Raises:
        DataError: there is no such file, it is not a regular one, or this user may not read it.
    """
    _status(path)  # before it is opened: opening a device may already do something
    try:
        # O_NONBLOCK, in case it has become a pipe since; it makes no difference to a regular file.
        file = _Slices(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise DataError(f"{path} was replaced while it was opened")
    return io.BufferedReader(file)


def create(path: Path) -> BinaryIO:
    """Open a file to write it anew; each slice is a sign of life."""
    return io.BufferedWriter(_Slices(path, "wb"))


class _Slices(io.FileIO):
    """A file that is read and written slice by slice, with a sign of life for each."""

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        pulse.beat()
        return super().readinto(memoryview(buffer)[:SLICE_BYTES])

    def write(self, data: ReadableBuffer) -> int:
        pulse.beat()
        return super().write(memoryview(data)[:SLICE_BYTES])


def _status(path: Path) -> os.stat_result:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name that no file system takes
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
        raise DataError(f"{path} is {kind}; only regular files, and links to them, can be read")
    return found


def _unreadable(path: Path, error: OSError | ValueError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"there is no file {path}", hint="the path in the study file is relative to HPO_DATA_DIR")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return DataError(f"can't read {path}: {reason}")
