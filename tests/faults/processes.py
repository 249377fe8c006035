"""The processes of programs that run on this machine: known by the folder that each was given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hpo.client import FOLDER


@dataclass(frozen=True)
class ProgramProcess:
    """A program, or something that it has started."""

    pid: int
    folder: Path
    """Of its trial."""
    command: str

    @property
    def is_program(self) -> bool:
        """Whether it is the program itself, and not what it has started."""
        try:
            return os.getsid(self.pid) == self.pid and not self.command.startswith("sleep")
        except ProcessLookupError:
            return False

    @property
    def has_lost_its_worker(self) -> bool:
        """Whether its worker was killed: one that ends otherwise removes the folder of its trial."""
        return self.folder.exists()


def programs_below(folder: Path) -> Iterator[ProgramProcess]:
    """Those whose trial's folder lies in this one."""
    mark = f"{FOLDER}={folder}/".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            given = [each for each in (entry / "environ").read_bytes().split(b"\0") if each.startswith(mark)]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended, or is somebody else's
            continue
        if given:
            yield ProgramProcess(int(entry.name), Path(given[0].decode().partition("=")[2]), command)
