"""Workers as child processes on this machine."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl.h


@dataclass(frozen=True, slots=True)
class LocalWorker:
    """A worker process of ours, and the file that holds what it says."""

    process: subprocess.Popen[bytes]
    log: Path


def command(studies: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """The command line of a worker for `studies`; holds no URL, since command lines are public on a machine."""
    return [sys.executable, "-m", "hpo", "worker", *studies, *options]


def start(storage_url: str, studies: Sequence[str], log: Path, options: Sequence[str] = ()) -> LocalWorker:
    """Start one worker. It gets SIGTERM if this process dies, so that none is left behind."""
    parent = os.getpid()

    def follow_parent() -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    with log.open("ab") as output:
        process = subprocess.Popen(
            command(studies, options),
            env=os.environ | {"HPO_STORAGE": storage_url},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the launcher alone, which asks its workers to stop
            preexec_fn=follow_parent,
        )
    return LocalWorker(process, log)


def stop(workers: Sequence[LocalWorker]) -> None:
    """Ask the workers to save and let go, and wait until they have."""
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.terminate()
    for worker in workers:
        worker.process.wait()


def visible_gpus() -> int:
    """How many GPUs this machine offers, asked of the driver without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
