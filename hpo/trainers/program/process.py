"""The process of a program: started with its own session and environment, seen to its end, ended with all its own."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hpo.client import FOLDER

log = logging.getLogger(__name__)

END_SECONDS = 10.0
"""How long a program that has said its last word may take to end."""
TAIL_LINES = 100  # torchrun says much after a traceback
"""Lines of output that are kept of a program that has failed."""
TAIL_BYTES = 1 << 16
"""And so many bytes at most."""
SECRET = ("HPO_", "PG")
"""Beginnings of the environment variables that a program does not get."""
GUARD = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Lets the program end with its worker, even if that is killed, and then becomes the program."""
OUTPUT = "output"
"""The file in a trial's folder that has what the program writes."""


class ProgramFailed(Exception):
    """The program of a trial has ended as it should not; its last output is part of the message."""


class Program:
    """A program that runs, in a folder of its own."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.folder = folder
        self._process = process

    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    def terminate(self) -> None:
        """Ask it, and what it has started, to save and to end: SIGTERM."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)

    @property
    def has_succeeded(self) -> bool:
        """Whether it has ended with exit code 0."""
        return self._process.poll() == 0

    def end(self, has_said_all: bool, how_far: str, strict: bool = False) -> None:
        """Wait for the program's end, and see that it is one; `strict`: whose exit code counts in any case.

        Raises:
            ProgramFailed: it has not said all, or goes on without anybody who listens.
        """
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            if not has_said_all:
                raise ProgramFailed(
                    f"the program has closed its connection but is still running{self.tail()}"
                ) from None
            log.warning("the trial's program did not end after its last message: killed")
            return
        if has_said_all and not (strict and code != 0):
            if code != 0:
                log.warning("the trial's program ended with exit code %d after its last message", code)
        elif code != 0:
            how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
            raise ProgramFailed(f"the program ended with {how}{self.tail()}")
        else:
            raise ProgramFailed(f"the program ended {how_far}{self.tail()}")

    def tail(self) -> str:
        """What it has written last, as the end of a message."""
        lines = last_output(self.folder).splitlines()[-TAIL_LINES:]
        return "; its last output:\n" + "\n".join(lines) if lines else "; it has written nothing"


def last_output(folder: Path) -> str:
    """The end of what a program has written; all of it may be more than there is memory."""
    with (folder / OUTPUT).open("rb") as output:
        size = output.seek(0, os.SEEK_END)
        output.seek(max(size - TAIL_BYTES, 0))
        return output.read().decode(errors="replace")


@contextmanager
def running(command: Sequence[str], folder: Path, device: str, given: Mapping[str, str]) -> Iterator[Program]:
    """Run a command with the variables that it is `given`; what is left of it at the end of the block is killed.

    Raises:
        ProgramFailed: it can't be run.
    """
    if shutil.which(command[0]) is None:
        raise ProgramFailed(f"{command[0]} can't be run: there is no such command here")
    guarded = [sys.executable, "-I", "-c", GUARD, str(os.getpid()), *command]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SECRET)}
    environment |= {FOLDER: str(folder), "PYTHONUNBUFFERED": "1", **given}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    elif device.startswith("cuda:"):
        named = [each for each in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if each]
        index = int(device.removeprefix("cuda:"))
        environment["CUDA_VISIBLE_DEVICES"] = named[index] if index < len(named) else str(index)
    try:
        with (folder / OUTPUT).open("ab") as output:
            process = subprocess.Popen(
                guarded,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that what it starts ends with it
            )
    except OSError as error:
        raise ProgramFailed(f"{command[0]} can't be run: {error.strerror}") from None
    try:
        yield Program(process, folder)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _kill_those_of(folder)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)


def _kill_those_of(folder: Path) -> None:
    """Kill whatever a program has started in a session of its own, as torchrun does: known by the folder it was given.

    As long as there is one, it may start another.
    """
    mark, until = f"{FOLDER}={folder}".encode(), time.monotonic() + END_SECONDS
    while found := [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _was_given(entry, mark)]:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:
            log.warning("%d processes of the program can't be killed: %s", len(found), found)
            return
        time.sleep(0.01)


def _was_given(entry: Path, mark: bytes) -> bool:
    """Whether a process, one that runs, has this in its environment."""
    try:
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return False
