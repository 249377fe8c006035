"""Large checkpoints in the database, cut into parts: rows of a table, written one by one under the cell's lease."""

from __future__ import annotations

import re
import secrets

from sqlalchemy import bindparam, delete, select

from hpo.errors import CheckpointError
from hpo.storage.connection.database import Database
from hpo.storage.connection.guarded import Upsert, execute_guarded
from hpo.storage.lease_statements import HOLDS
from hpo.storage.leases import lease_lost, lease_params
from hpo.storage.rows import Lease
from hpo.storage.tables import part

PART = 1 << 20
"""Bytes. A part takes the driver some eight times as much memory, and a few seconds on a slow line."""
MOST_PARTS = 256
"""The most bytes of one checkpoint: 256 MiB."""
LAST, SHARED, FINAL = "last", "shared", "final"
"""What a checkpoint is for: to go on with the cell's own trial, for the trials of other cells, or to use the net."""
RETRY_SECONDS = 30.0
"""How long a part is tried again; a checkpoint is not worth what its epoch is."""

_NAMED = re.compile(r"(\d{1,9})/([a-z]+-[0-9a-f]+)/(\d{1,4})", re.ASCII)
_KEY = ("cell_id", "name", "number")
_ONE = select(part.c.content).where(
    part.c.cell_id == bindparam("of_cell"), part.c.name == bindparam("called"), part.c.number == bindparam("place")
)
_REMOVE = delete(part).where(part.c.cell_id == bindparam("of_cell"), part.c.name == bindparam("called"))


class Parts:
    """The table of parts. What `write` returns names a checkpoint: `CELL/NAME/NUMBER OF PARTS`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing = database.within(RETRY_SECONDS)

    def write(self, lease: Lease, content: bytes, use: str) -> bytes:
        """Statement a checkpoint; returns what names it.

        Raises:
            LeaseLost: another worker holds the cell.
        """
        name, view = f"{use}-{secrets.token_hex(8)}", memoryview(content)
        places = range(0, len(content), PART)
        for number, begin in enumerate(places):
            row = {
                "cell_id": lease.cell.id,
                "name": name,
                "number": number,
                "content": bytes(view[begin : begin + PART]),
            }
            if execute_guarded(self._writing, HOLDS, lease_params(lease), [Upsert(part, _KEY, [row])]) is None:
                raise lease_lost(lease)
        return f"{lease.cell.id}/{name}/{len(places)}".encode()

    def read(self, named: bytes) -> bytes:
        """The checkpoint.

        Raises:
            CheckpointError: a part of it is missing.
        """
        cell, name, count = _read_name(named)
        content = bytearray()
        for number in range(count):
            found = self._read_one(cell, name, number)
            if found is None:
                raise CheckpointError(f"part {number + 1} of the checkpoint's {count} is missing")
            content += found
        return bytes(content)

    def _read_one(self, cell: int, name: str, number: int) -> bytes | None:
        parameters = {"of_cell": cell, "called": name, "place": number}
        return self._database.read(lambda connection: connection.execute(_ONE, parameters).scalar())

    def remove(self, named: bytes) -> None:
        """Remove a checkpoint that nobody needs any more."""
        cell, name, _ = _read_name(named)
        self._database.read(lambda connection: connection.execute(_REMOVE, {"of_cell": cell, "called": name}))


def _read_name(named: bytes) -> tuple[int, str, int]:
    found = _NAMED.fullmatch(named.decode(errors="replace"))
    if found is None or int(found[3]) > MOST_PARTS:
        raise CheckpointError("the checkpoint's name can't be read")
    return int(found[1]), found[2], int(found[3])
