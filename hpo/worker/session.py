"""What a worker has for as long as it lives."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

from hpo.storage import Storage
from hpo.storage.checkpoints import DatabaseCheckpoints
from hpo.storage.ledger import Ledger
from hpo.trainers.trainer import Machine, Trainer
from hpo.worker.health import Health
from hpo.worker.heartbeat import Heartbeat
from hpo.worker.machine import Machines
from hpo.worker.tracking import Trackers


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
    stall_seconds: float = 600.0
    """How long a trial may make no progress at all, not a step and not an image, before the worker counts as hung."""
    track: tuple[str, ...] = ()
    """Trackers in which trials are shown too, as `--track` names them."""
    forever: bool = False
    """Wait for further studies when nothing is left."""


@dataclass(frozen=True, slots=True)
class Session:
    """A worker's own things, the same for each of its cells."""

    worker_id: str
    storage: Storage
    options: WorkerOptions
    machines: Machines
    checkpoints: DatabaseCheckpoints
    heartbeat: Heartbeat
    health: Health
    trackers: Trackers
    stop: Event
    """Set when the worker is asked to save and let go."""

    @property
    def ledger(self) -> Ledger:
        return self.storage.ledger

    def machine(self, trainer: Trainer) -> Machine:
        """This worker's device, as a trainer uses it."""
        return self.machines.of(trainer)
