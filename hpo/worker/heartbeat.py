"""Keeps the lease of the present cell while it makes progress, however long an epoch is, on a thread of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from hpo.errors import LeaseLost
from hpo.process import pulse
from hpo.storage.connection.sqlstate import reason
from hpo.storage.ledger import Ledger
from hpo.storage.rows import Lease

log = logging.getLogger(__name__)

MOST_SECONDS_BETWEEN = 20.0
"""A worker shows that it is alive at least so often, even if its lease is longer."""


class Heartbeat:
    """Renews the lease about three times in its length, for as long as the trial makes progress.

    `lost` is set when another worker holds the cell, or when the database could not be reached for two lease lengths,
    by when another is likely to hold it. A worker that lives but hangs must not keep its cell: after `stall_seconds`
    without a step or an image nothing is renewed.
    """

    def __init__(self, ledger: Ledger, worker_id: str, lease_seconds: float, stall_seconds: float, stop: Event) -> None:
        self.lost = Event()
        self._ledger = ledger
        self._worker_id = worker_id
        self._lease_seconds = lease_seconds
        self._stall_seconds = stall_seconds
        self._asked_to_stop = stop
        self._lease: Lease | None = None
        self._changing = Lock()
        self._ended = Event()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(timeout=1.0)  # it may be waiting for a server that does not answer

    @property
    def held(self) -> Lease | None:
        """The lease that is kept at this moment."""
        return self._lease

    def asked_to_let_go(self) -> bool:
        """Whether the cell is lost, or the worker was asked to stop."""
        return self._asked_to_stop.is_set() or self.lost.is_set()

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[None]:
        """Keep `lease` while the block runs."""
        pulse.beat()
        with self._changing:
            self._lease = lease
            self.lost.clear()
        try:
            yield
        finally:
            with self._changing:
                self._lease = None

    def _beat(self) -> None:
        reached = time.monotonic()
        while not self._ended.wait(min(self._lease_seconds / 3, MOST_SECONDS_BETWEEN)):
            with self._changing:
                lease = self._lease
                if lease is None:
                    reached = time.monotonic()
            try:
                if lease is not None and not self.lost.is_set() and pulse.age() < self._stall_seconds:
                    self._ledger.renew(lease, self._lease_seconds)
                self._ledger.seen(self._worker_id)
                reached = time.monotonic()
            except LeaseLost:
                self._lose(lease)
            except Exception as error:  # whatever it is: a thread that died of it would lose the cell
                log.warning("the lease could not be renewed, trying again: %s", reason(error))
                if lease is not None and time.monotonic() - reached > 2 * self._lease_seconds:
                    log.warning(
                        "trial %d: its lease was not renewed for two lease lengths; training stops", lease.cell.id
                    )
                    self._lose(lease)

    def _lose(self, lease: Lease | None) -> None:
        with self._changing:
            if lease is not None and self._lease is lease:
                self.lost.set()
