"""Where checkpoints lie: in the database by default, or under any URL that fsspec knows (a shared folder, S3, …).

The ledger keeps what `keep` returns, under the lease's token: the checkpoint itself if it is small, or a reference to
what is complete by then and is never written again: parts in a table, or a file. So a reader finds a whole checkpoint
or an older one, never a torn one, and a checkpoint that can't be kept never costs the epoch after which it was made.

What is superseded is removed once its successor is in the ledger. What a killed worker leaves behind is removed when
the cell ends, or by `hpo clean`.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from hpo.errors import CheckpointError, StorageError, UserError
from hpo.storage.connection.sqlstate import is_database_error, reason
from hpo.storage.parts import LAST, MOST_PARTS, PART, Parts
from hpo.storage.rows import Lease
from hpo.words.masking import ENCODED, looks_misread, masked, masked_text

log = logging.getLogger(__name__)

LARGEST_IN_DATABASE = MOST_PARTS * PART
"""Bytes. The database could take more, but whoever copies, backs up and replicates it would have to as well."""
LARGEST_WHOLE = 256 << 10
"""Bytes. A larger one is cut into parts, so that no message is as large: a driver needs several times its size for it,
and a server writes a statement that fails into its log."""
REFERENCE = b"hpo-checkpoint-at:"
IN_PARTS = b"hpo-checkpoint-in-parts:"

_NAME = re.compile(r"\w+/cell-\d+-[a-z]+-[0-9a-f]+\.pt", re.ASCII)
"""The path of a checkpoint's file, below the folder of its database."""


class DatabaseCheckpoints:
    """Checkpoints in the database itself: several machines need nothing else."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def keep(self, lease: Lease, content: bytes, use: str = LAST) -> bytes:
        """What the ledger is to keep for the checkpoint `content`; `use` says what it is for.

        Raises:
            CheckpointError: it can't be kept.
            LeaseLost: another worker holds the cell.
        """
        if len(content) <= LARGEST_WHOLE:
            return content
        if len(content) > LARGEST_IN_DATABASE:
            raise CheckpointError(
                f"the checkpoint has {len(content) >> 20} MiB, the database takes {LARGEST_IN_DATABASE >> 20} MiB at "
                "most: it is not kept, so an interrupted trial starts over",
                hint="keep checkpoints outside the database: --checkpoints URL",
            )
        try:
            return IN_PARTS + self._parts.write(lease, content, use)
        except Exception as error:
            if not is_database_error(error) and not isinstance(error, StorageError):
                raise
            raise CheckpointError(f"the database refused the checkpoint: {reason(error)}") from error

    def fetch(self, kept: bytes) -> bytes:
        """The checkpoint that `kept` is or refers to.

        Raises:
            CheckpointError: it lies elsewhere, or can't be read there.
        """
        if kept.startswith(IN_PARTS):
            return self._parts.read(kept.removeprefix(IN_PARTS))
        if kept.startswith(REFERENCE):
            raise CheckpointError(
                "the checkpoint is not in the database", hint="start this worker with the same --checkpoints URL"
            )
        return kept

    def discard(self, kept: bytes) -> None:
        """Remove what `kept` refers to: the ledger has another one now. What is none of ours is left alone."""
        with suppress(CheckpointError):
            self._discard(kept)

    def _discard(self, kept: bytes) -> None:
        if kept.startswith(IN_PARTS):
            self._parts.remove(kept.removeprefix(IN_PARTS))

    def forget(self, lease: Lease) -> None:
        """Remove what was kept elsewhere for a cell that has ended; the ledger removes its own."""

    def forget_shared(self, lease: Lease) -> None:
        """Remove what was kept elsewhere for other cells of the study; the ledger removes its own."""


class UrlCheckpoints(DatabaseCheckpoints):
    """Checkpoints as files below a URL; the ledger keeps where.

    `URL/DATABASE/STUDY/cell-CELL-USE-….pt`, where database and study are identities that are never given again, so any
    number of databases may share a URL.
    """

    def __init__(self, url: str, parts: Parts, database: str) -> None:
        super().__init__(parts)
        import fsspec

        self._url = url
        if looks_misread(url):
            raise UserError(f"--checkpoints {masked(url)!r}: the URL can't be read", hint=ENCODED)
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
            self._files.makedirs(self._root, exist_ok=True)
        except Exception as error:  # every kind of file system has errors of its own
            raise UserError(
                f"--checkpoints {masked(url)!r}: {masked_text(str(error), url)}",
                hint="give a folder that all workers share, or a URL such as s3://bucket/folder (needs s3fs)",
            ) from None
        if masked(self._root) != self._root:
            # The ledger keeps the path of a checkpoint, and what the ledger keeps must hold no secret.
            raise UserError(
                f"--checkpoints {masked(url)!r}: with this kind of URL, its secret would be stored in the database",
                hint="put the secret into fsspec's settings, in a file that only you can read",
            )
        self._database = database

    def keep(self, lease: Lease, content: bytes, use: str = LAST) -> bytes:
        # A name of its own for every checkpoint: a worker that has lost its lease can't touch its successor's.
        path = f"{self._folder(lease.study_uuid)}/{_begin(lease, use)}{secrets.token_hex(8)}.pt"
        try:
            self._files.makedirs(self._folder(lease.study_uuid), exist_ok=True)
            self._files.pipe_file(path, content)
        except Exception as error:
            raise self._error(f"the checkpoint can't be written to {path}: {error}") from None
        return REFERENCE + path.encode()

    def fetch(self, kept: bytes) -> bytes:
        if not kept.startswith(REFERENCE):
            return super().fetch(kept)
        path = self._path(kept)
        try:
            content: Any = self._files.cat_file(path)
        except Exception as error:
            raise self._error(f"the checkpoint can't be read from {path}: {error}") from None
        return bytes(content)

    def _discard(self, kept: bytes) -> None:
        if not kept.startswith(REFERENCE):
            return super()._discard(kept)
        path = self._path(kept)
        self._if_possible(lambda: self._remove(path))

    def forget(self, lease: Lease) -> None:
        self._if_possible(lambda: self._remove_all(lease.study_uuid, _begin(lease, LAST)))

    def forget_shared(self, lease: Lease) -> None:
        self._if_possible(lambda: self._remove_all(lease.study_uuid, "cell-"))

    def sweep(self, kept: set[str], in_use: set[int]) -> Iterator[str]:
        """Remove this database's files that no ledger names, but for those of cells `in_use`; yields their paths.

        A worker writes a file before the ledger names it, so what belongs to a cell that is held stays.
        """
        for path in self._files.find(f"{self._root}/{self._database}"):
            name = path.rpartition("/")[2]
            cell = name.removeprefix("cell-").partition("-")[0]
            if path not in kept and not (cell.isdigit() and int(cell) in in_use):
                self._remove(path)
                yield path

    def _folder(self, study: str) -> str:
        return f"{self._root}/{self._database}/{study}"

    def _path(self, kept: bytes) -> str:
        # Whoever writes a row must not choose which file is read or removed: only one of this database can be.
        path, folder = kept.removeprefix(REFERENCE).decode(errors="replace"), f"{self._root}/{self._database}/"
        if not path.startswith(folder) or not _NAME.fullmatch(path.removeprefix(folder)):
            raise self._error(
                f"the checkpoint is at {path}, which is outside {self._root} or belongs to another database"
            )
        return path

    def _remove_all(self, study: str, begin: str) -> None:
        # Listed and compared: in a pattern, characters of the URL could mean something else.
        if self._files.exists(self._folder(study)):
            for path in self._files.ls(self._folder(study), detail=False):
                if path.rpartition("/")[2].startswith(begin):
                    self._remove(path)

    def _remove(self, path: str) -> None:
        try:
            self._files.rm_file(path)
        except FileNotFoundError:  # another worker was first
            return

    def _if_possible(self, remove: Callable[[], None]) -> None:
        """A file that stays behind is no reason to give up a trial: `hpo clean` finds it later."""
        try:
            remove()
        except Exception as error:
            log.warning("%s", self._error(f"checkpoint files can't be removed: {error}"))

    def _error(self, message: str) -> CheckpointError:
        """What a library says may repeat the URL."""
        return CheckpointError(masked_text(message, self._url))


def _begin(lease: Lease, use: str) -> str:
    return f"cell-{lease.cell.id}-{use}-"


def open_checkpoints(url: str | None, parts: Parts, database: str) -> DatabaseCheckpoints:
    """The store at `url`, or the database.

    Raises:
        UserError: the URL can't be used.
    """
    return DatabaseCheckpoints(parts) if url is None else UrlCheckpoints(url, parts, database)
