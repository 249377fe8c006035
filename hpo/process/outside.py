"""Asking another program, which may be missing, fail, or never answer."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass

LIMIT_SECONDS = 30.0
"""nvidia-smi takes some ten seconds on a machine with many GPUs and no persistence daemon."""
REAP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program wrote to its standard output; empty if it failed."""

    text: str
    failure: str = ""
    """Why there is no answer, in words; empty if there is one."""

    @property
    def first_line(self) -> str:
        """The first line without the blanks around it; empty if there is none."""
        return self.text.partition("\n")[0].strip()


def ask(*command: str, seconds: float = LIMIT_SECONDS) -> Answer:
    """Run a program and return what it writes, within `seconds`."""
    name = command[0]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that what it starts ends with it
        )
    except FileNotFoundError:
        return Answer("", f"{name} is not installed")
    except OSError as error:
        return Answer("", f"{name} can't be run: {error.strerror}")
    try:
        said, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _abandon(process)
        return Answer("", f"{name} did not answer within {seconds:g} seconds")
    if process.returncode != 0:
        words = (complaint.strip() or said.strip()).partition("\n")[0]  # nvidia-smi complains on its standard output
        return Answer("", f"{name} failed: {words or f'exit code {process.returncode}'}")
    return Answer(said)


def _abandon(process: subprocess.Popen[str]) -> None:
    """Kill it, and don't wait until it has ended: while it hangs in a driver, it does not."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(REAP_SECONDS)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
