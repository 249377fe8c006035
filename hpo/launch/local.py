"""Workers as child processes on this machine: which device each gets, and how it is started."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO

from hpo.errors import HpoError, UserError
from hpo.launch.request import HERE
from hpo.process.gpus import VARIABLE, Gpus, visible

PR_SET_PDEATHSIG = 1  # prctl.h
PRCTL = ctypes.CDLL(None).prctl  # looked up here: little is safe between fork and exec
LAST_LINES = 5
"""Lines of a log that are shown where no error stands in it."""
LAST_WORDS_SECONDS = 5.0
"""How long what an ended worker has written last is waited for."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a worker runs: its options, and the device that it alone sees."""

    options: tuple[str, ...]
    gpu: str | None = None
    """One, or several in a row with commas between them."""

    def environment(self) -> dict[str, str]:
        """What it finds in its environment beside everything else."""
        return {} if self.gpu is None else {VARIABLE: self.gpu}


def gpus_for(device: str) -> Gpus:
    """The GPUs to place workers on: all that are visible, unless a device is named."""
    return visible() if device == "auto" else Gpus(())


def together(gpus: Gpus, size: int) -> list[str]:
    """The GPUs, so many at a time, for workers that have several each; what is left over stays idle.

    Raises:
        UserError: there are not so many.
    """
    names = gpus.names
    if size == 1:
        return list(names)
    if len(names) < size:
        why = f" ({gpus.why_none})" if gpus.why_none else ""
        raise UserError(
            f"--devices-per-worker {size}: this machine has {len(names) or 'no'} GPUs{why}",
            hint="give a number up to that, or 1",
        )
    return [",".join(names[first : first + size]) for first in range(0, len(names) - size + 1, size)]


def placements(
    device: str, gpus: Sequence[str], options: Sequence[str] = (), workers: int | None = None, per_device: int = 1
) -> list[Placement]:
    """Which worker gets which device: the `gpus` in turn, or where there are none what `device` says.

    There are `per_device` workers on each, unless the number of `workers` is given.
    """
    count = per_device * max(len(gpus), 1) if workers is None else workers
    if not gpus:
        return [Placement((f"--device={device}", *options))] * count
    return [Placement(("--device=cuda", *options), gpus[number % len(gpus)]) for number in range(count)]


def where(device: str, gpus: Gpus) -> str:
    """The devices of the placements, in words."""
    if device != "auto":
        return device
    if not gpus.names:
        return f"the CPU ({gpus.why_none})"
    return "1 GPU" if len(gpus.names) == 1 else f"{len(gpus.names)} GPUs"


def text(studies: Sequence[str], wanted: Sequence[Placement]) -> str:
    """The workers as a shell would start them, one a line."""
    lines = []
    for placement in wanted:
        settings = [f"{name}={shlex.quote(value)}" for name, value in placement.environment().items()]
        words = shlex.join(["hpo", "worker", *studies, *placement.options])
        lines.append(" ".join([*settings, words]) + "\n")
    return "".join(lines)


@dataclass(frozen=True, slots=True)
class LocalWorker:
    """A worker process of ours that writes to a file."""

    process: subprocess.Popen[bytes]
    log: Path
    begins_at: int = 0
    """Where in the file; what stands before it, an earlier worker wrote."""

    def last_words(self) -> str:
        """The error that it ended with, without the tag that the command line puts before it."""
        try:
            written = self.log.read_bytes()[self.begins_at :]
        except OSError as error:
            return f"{self.log}: {error.strerror}"
        lines = written.decode(errors="replace").splitlines()
        errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        last = lines[errors[-1] :] if errors else lines[-LAST_LINES:]
        return "\n".join(last).removeprefix("error: ")


@dataclass(frozen=True, slots=True)
class RelayedWorker:
    """A worker process of ours whose lines are passed on."""

    process: subprocess.Popen[bytes]
    relay: Thread

    def last_words(self) -> str:
        """Nothing: once all its lines have been passed on, they are known."""
        self.relay.join(LAST_WORDS_SECONDS)
        return ""


def start(studies: Sequence[str], placement: Placement, environment: Mapping[str, str], log: Path) -> LocalWorker:
    """Start one worker that writes to a file. It gets SIGTERM if this process dies, so that none is left behind."""
    with log.open("ab") as output:
        begins_at = output.tell()
        return LocalWorker(_spawn(studies, placement, environment, output), log, begins_at)


def start_relayed(
    studies: Sequence[str], placement: Placement, environment: Mapping[str, str], relay: Callable[[str], None]
) -> RelayedWorker:
    """Start workers, with a worker of which `relay` gets each line."""
    process = _spawn(studies, placement, environment, subprocess.PIPE)
    assert process.stdout is not None
    thread = Thread(target=_relay, args=(process.stdout, relay), daemon=True)
    thread.start()
    return RelayedWorker(process, thread)


def _relay(pipe: IO[bytes], relay: Callable[[str], None]) -> None:
    for line in pipe:
        # If nobody can hear it, as when the terminal was closed, it is read all the same: a full pipe stops the worker.
        with suppress(OSError, HpoError):
            relay(line.decode(errors="replace").rstrip("\n"))


def _spawn(
    studies: Sequence[str], placement: Placement, environment: Mapping[str, str], output: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def follow_parent() -> None:
        PRCTL(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(
        [*HERE, "worker", *studies, *placement.options],
        env={**os.environ, **environment, **placement.environment()},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches the launcher alone, which asks its workers to stop
        preexec_fn=follow_parent,
    )
