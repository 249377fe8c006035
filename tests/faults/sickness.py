"""Workers that are sick: what a process makes itself lack before it becomes a worker.

A sick worker must give back what it claims, uncounted, and end with the exit code of a machine that a person must mend
(2) or of one that can't train (3).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import NoReturn

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 1 << 18  # sched.h, sys/mount.h


def full_temporary_folders() -> None:
    """There is no room for a temporary file, in a mount namespace of the process's own. Needs root."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "no mount namespaces here")
    for folder in TEMPORARY:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], check=True)
        with open(f"{folder}/full", "wb") as file:
            file.write(bytes(4096))
    tempfile.tempdir = None
    os.environ.pop("TMPDIR", None)
    os.chdir("/proc")  # nor can it write where it stands


def no_folder_for_images() -> None:
    """What the variable names is not a folder."""
    os.environ["HPO_DATA_DIR"] = "/proc/version"


def a_device_that_fails() -> None:
    """Whatever is trained raises what a GPU that has fallen off the bus raises."""
    from hpo.trainers.images.trainer import ImageTrainer

    def run(*arguments: object) -> NoReturn:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    ImageTrainer.run = run  # type: ignore[method-assign]


def trials_that_raise() -> None:
    """Something on the machine is wrong in a way that nothing tells from a trial's own fault."""
    from hpo.trainers.images.trainer import ImageTrainer

    def run(*arguments: object) -> NoReturn:
        raise RuntimeError("undefined symbol: cblas_gemm_bf16bf16f32")

    ImageTrainer.run = run  # type: ignore[method-assign]


TEMPORARY = ("/tmp", "/var/tmp")
# A checkout or an interpreter below one of these would be gone with it.
_lies_there = any(place.startswith(f"{folder}/") for folder in TEMPORARY for place in (__file__, sys.prefix))
SICKNESSES: Mapping[str, Callable[[], None]] = ({} if _lies_there else {"no room": full_temporary_folders}) | {
    "no folder": no_folder_for_images,
    "device": a_device_that_fails,
    "raises": trials_that_raise,
}
EXIT_CODES = (2, 3)
"""With one of these a sick worker ends, unless another fault ends it before."""
