"""Whether images fit into the memory of this machine, asked before anything is read.

A file of a few kilobytes can promise hundreds of gigabytes of pixels. A process that believed it would be killed
without a word.
"""

from __future__ import annotations

import os
from pathlib import Path

from hpo.errors import DataError

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def check_room(what: object, size: int) -> None:
    """Refuse what can't be held.

    Raises:
        DataError: `what`, of `size` bytes, is larger than this machine's memory.
    """
    memory = memory_bytes()
    if size > memory:
        raise DataError(
            f"{what} would take {_gigabytes(size)} of memory; this machine has {_gigabytes(memory)}",
            hint="use fewer or smaller images, or a machine with more memory",
        )


def memory_bytes() -> int:
    """The memory of the machine, or of the container if that may use less."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(memory, int(CONTAINER_LIMIT.read_text()))
    except (OSError, ValueError):  # no container, or "max": no limit of its own
        return memory


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
