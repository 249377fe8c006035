"""What is to run on each node, wherever that is."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from hpo.errors import UserError
from hpo.words.masking import HIDDEN, masked

HERE = (sys.executable, "-P", "-m", "hpo")
"""The present command. Without -P Python would look for modules in the working directory, where others may write."""
URLS = ("HPO_STORAGE", "HPO_CHECKPOINTS")
"""The variables that hold a URL, which is worth showing; of others only the name is shown."""


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """The workers that are wanted on each node."""

    studies: tuple[str, ...] = ()
    """Names; all studies of the storage, if there are none."""
    per_device: int = 1
    """Workers on each GPU, or on the CPU of a node without one."""
    per_worker: int = 1
    """GPUs that each worker has, for programs that train on several."""
    options: tuple[str, ...] = ()
    """Further options of `hpo worker`."""

    def arguments(self) -> tuple[str, ...]:
        """The arguments of the command `hpo` on a node."""
        several = (f"--workers-per-device={self.per_device}",) if self.per_device > 1 else ()
        many = (f"--devices-per-worker={self.per_worker}",) if self.per_worker > 1 else ()
        return ("start-workers", "local", *self.studies, *several, *many, *self.options)


def handed_over(storage_url: str, checkpoints_url: str | None) -> dict[str, str]:
    """What workers are handed: never on a command line, since URLs may hold secrets and command lines are public."""
    checkpoints = {"HPO_CHECKPOINTS": checkpoints_url} if checkpoints_url else {}
    return {"HPO_STORAGE": storage_url, **checkpoints}


def hidden(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that are handed over, as they may be shown."""
    return {name: masked(value) if name in URLS else HIDDEN for name, value in environment.items()}


def words(option: str, command: str) -> list[str]:
    """The words of a command that an option gives, as a shell splits them; nothing in them is expanded.

    Raises:
        UserError: there are none, or a quote is not closed.
    """
    try:
        found = shlex.split(command)
    except ValueError as error:
        raise UserError(f"{option} {command!r}: {error}", hint="close the quotes, as you would in a shell") from None
    if not found:
        raise UserError(f"{option} {command!r}: the command is empty")
    return found


def plain_path(option: str, text: str) -> str:
    """The text, which stands between quotes in a script: a shell would not expand what it holds.

    Raises:
        UserError: it was meant to be expanded, or can't be meant at all.
    """
    if not text.isprintable() or not text or text.startswith(("-", "~")) or set(text) & set("$`"):
        raise UserError(
            f"{option} {text!r}: this is not a path, and no shell will expand it",
            hint="write the full path, or the path relative to the home folder, without ~ and $",
        )
    return text
