"""How a worker works; what it works on comes from the storage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of `hpo worker`."""

    device: str = "auto"
    lease_seconds: float = 60.0
    """How long a silent worker keeps its cell."""
    checkpoint_seconds: float = 30.0
    """A checkpoint is kept at the end of an epoch if the last one is older than this."""
    checkpoints_url: str | None = None
    """Where checkpoints are kept; in the database if not given."""
    forever: bool = False
    """Wait for further studies when nothing is left."""
