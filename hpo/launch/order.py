"""What is to run on each node, wherever that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """The workers that are wanted on each node."""

    studies: tuple[str, ...] = ()
    """Names; all studies of the storage, if there are none."""
    per_device: int = 1
    """Workers on each GPU, or on the CPU of a node without one."""
    options: tuple[str, ...] = ()
    """Of `hpo worker`."""

    def arguments(self) -> tuple[str, ...]:
        """The arguments of the command `hpo` on a node."""
        several = (f"--workers-per-device={self.per_device}",) if self.per_device > 1 else ()
        return ("start-workers", "local", *self.studies, *several, *self.options)


def hidden(environment: Mapping[str, str], storage: str) -> dict[str, str]:
    """The variables that are handed over, as they may be shown; `storage` is the URL without its password."""
    return {name: storage if name == "HPO_STORAGE" else "***" for name in environment}
