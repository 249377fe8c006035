"""The ledger, Optuna's side of it, and checkpoints: all that knows SQL. `open_storage` is the only door."""

from __future__ import annotations

from hpo.storage.storage import Storage, create_storage, migrate_storage, open_storage

__all__ = ["Storage", "create_storage", "migrate_storage", "open_storage"]
