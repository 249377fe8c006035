"""Where checkpoints lie: in the database by default, or under any URL that fsspec knows (a shared folder, S3, …).

The ledger keeps what `keep` returns, under the lease's token: the checkpoint itself, or a reference to a file that is
complete by then and is never written again. So a reader finds a whole checkpoint or an older one, never a torn one.
"""

from __future__ import annotations

from typing import Any

from hpo.errors import CheckpointError, UserError
from hpo.storage.rows import Lease

LARGEST_IN_DATABASE = 256 << 20
"""Bytes. Postgres could take 1 GiB, at several times that in memory on both sides."""
REFERENCE = b"hpo-checkpoint-at:"


class DatabaseCheckpoints:
    """Checkpoints in the ledger itself: several machines need nothing but the database."""

    def keep(self, lease: Lease, content: bytes) -> bytes:
        """What the ledger is to keep for the checkpoint `content`.

        Raises:
            CheckpointError: it can't be kept.
        """
        if len(content) > LARGEST_IN_DATABASE:
            raise CheckpointError(
                f"the checkpoint has {len(content) >> 20} MiB, the database takes {LARGEST_IN_DATABASE >> 20}: it "
                "is not kept, and an interrupted trial begins anew",
                hint="keep checkpoints elsewhere: --checkpoints URL",
            )
        return content

    def fetch(self, kept: bytes) -> bytes:
        """The checkpoint that `kept` is or refers to.

        Raises:
            CheckpointError: it lies elsewhere, or can't be read there.
        """
        if kept.startswith(REFERENCE):
            where = kept.removeprefix(REFERENCE).decode()
            raise CheckpointError(f"the checkpoint lies at {where}", hint="start this worker with --checkpoints too")
        return kept

    def forget(self, lease: Lease) -> None:
        """Remove what was kept elsewhere for the cell; the ledger removes its own."""


class UrlCheckpoints(DatabaseCheckpoints):
    """Checkpoints as files below a URL; the ledger keeps where."""

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
            self._files.makedirs(self._root, exist_ok=True)
        except Exception as error:  # every kind of file system has errors of its own
            raise UserError(
                f"--checkpoints {url!r}: {error}",
                hint="a folder that all workers share, or a URL such as s3://bucket/folder (needs s3fs)",
            ) from None
        self._written = 0

    def keep(self, lease: Lease, content: bytes) -> bytes:
        self._written += 1
        # A name of its own for every checkpoint: a worker that has lost its lease can't touch its successor's.
        path = f"{self._of(lease)}{lease.token[:12]}-{self._written}.pt"
        try:
            self._files.pipe_file(path, content)
        except Exception as error:
            raise CheckpointError(f"the checkpoint can't be written to {path}: {error}") from error
        return REFERENCE + path.encode()

    def fetch(self, kept: bytes) -> bytes:
        if not kept.startswith(REFERENCE):
            return kept
        path = kept.removeprefix(REFERENCE).decode()
        if not path.startswith(f"{self._root}/") or ".." in path.split("/"):
            raise CheckpointError(f"the checkpoint lies at {path}, outside {self._root}")
        try:
            content: Any = self._files.cat_file(path)
        except Exception as error:
            raise CheckpointError(f"the checkpoint can't be read from {path}: {error}") from error
        return bytes(content)

    def forget(self, lease: Lease) -> None:
        for path in self._files.glob(f"{self._of(lease)}*.pt"):
            self._files.rm_file(path)

    def _of(self, lease: Lease) -> str:
        return f"{self._root}/study-{lease.study_id}-cell-{lease.cell.id}-"


def open_checkpoints(url: str | None) -> DatabaseCheckpoints:
    """The store at `url`, or the database.

    Raises:
        UserError: the URL can't be used.
    """
    return DatabaseCheckpoints() if url is None else UrlCheckpoints(url)
