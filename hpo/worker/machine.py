"""The machine that a worker runs on: what is recorded of it, what it lacks, and a look at it before the first claim."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import hpo
from hpo.errors import MachineError
from hpo.process.outside import ask
from hpo.trainers.trainer import Machine, Trainer

PROBE_BYTES = 64 << 10


class Machines:
    """This worker's device, prepared for each trainer that was asked for."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._prepared: dict[int, Machine] = {}

    def of(self, trainer: Trainer) -> Machine:
        """The device as `trainer` uses it, prepared when it is asked for first.

        Raises:
            UserError: there is no such device here, or it can't be used.
            MachineError: what the trainer needs is missing.
            SickMachine: the device does not compute.
        """
        if id(trainer) not in self._prepared:
            machine = trainer.machine(self._device)
            machine.examine()
            self._prepared[id(trainer)] = machine
        return self._prepared[id(trainer)]


def environment(machine: Machine) -> dict[str, str]:
    """What a result may depend on besides its study: versions, threads, device."""
    return {
        "hpo": hpo.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "optuna": version("optuna"),
        "cpus": str(os.cpu_count()),
        **machine.environment(),
    }


def in_words(device: str, about: Mapping[str, str]) -> str:
    """The device, and which of this machine's GPUs it is: the index of nvidia-smi, and what CUDA calls it."""
    place, name = about.get("gpu", ""), about.get("gpu_id", "")
    which = f"GPU {place}" if place != name else ""
    return ", ".join(filter(None, [device, which, "" if name in f"{device}, {place}" else name]))


def write_temporary_file() -> None:
    """Try, before anything is claimed, whether there is room for temporary files.

    Raises:
        MachineError: there is none; a person can mend it.
    """
    folder = ""
    try:
        folder = tempfile.gettempdir()  # takes a byte in it for enough
        with tempfile.TemporaryFile() as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as error:
        place = f"{folder}: " if folder else ""
        raise MachineError(
            f"a temporary file of {PROBE_BYTES >> 10} KiB can't be written: {place}{error.strerror}",
            hint="free some space there, or set TMPDIR to another folder",
        ) from error


def commit() -> str:
    """The commit that this installation is of, `-dirty` if it was changed since; empty if that can't be known.

    An image without its git history says it in HPO_COMMIT.
    """
    folder = Path(hpo.__file__).parents[1]
    if "HPO_COMMIT" in os.environ or not (folder / ".git").exists():  # else the git of whatever folder it lies in
        return os.environ.get("HPO_COMMIT", "")[:40]
    return ask("git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").first_line
