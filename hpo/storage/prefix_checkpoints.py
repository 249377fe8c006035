"""Cells that go on from another cell's trial: they wait for it, and take over what it has trained.

planned ──claim──▶ leased ──wait──▶ planned, and not free until the leader has come to the fork
                     └──fork──▶ leased, with the leader's epochs up to there
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, delete, exists, insert, literal, select

from hpo.storage import tables
from hpo.storage.lease_statements import RELEASED, seconds_after, under_lease
from hpo.storage.leases import Leases, lease_lost, lease_params
from hpo.storage.rows import CURVE_COLUMNS, CurvePoint, Lease, PrefixCheckpoint, read_curve_point
from hpo.storage.tables import cell, curve, fork, part

_WAIT = under_lease(**RELEASED, leader=bindparam("led_by"), leader_epochs=bindparam("led_for"))
_GO_ON = under_lease(
    leader=bindparam("led_by"),
    leader_epochs=bindparam("led_for"),
    epochs=case((cell.c.epochs < bindparam("led_for"), bindparam("led_for")), else_=cell.c.epochs),
    seconds=seconds_after(bindparam("led_for")),
)
_OTHERS = [column.name for column in curve.c if column.name != "cell_id"]


class PrefixCheckpoints(Leases):
    """The cells, as workers see them that share what trials have in common."""

    def wait_for(self, lease: Lease, place: PrefixCheckpoint) -> None:
        """Give the cell back until another one has come to the place from which it can go on."""
        self.write(_WAIT, lease, {"led_by": place.cell, "led_for": place.epochs})

    def go_on_from(self, lease: Lease, place: PrefixCheckpoint | None) -> tuple[bytes, list[CurvePoint]] | None:
        """Go on from another cell's trial: its checkpoint there, and its epochs so far, which become this cell's too.

        None, if it is no longer kept, or no place is given: the cell begins by itself.
        """

        def go_on(connection: Connection) -> tuple[bytes, list[CurvePoint]] | None:
            content: bytes | None = None if place is None else connection.execute(_kept(place)).scalar()
            found = place if content is not None else None
            led = {"led_by": found.cell if found else None, "led_for": found.epochs if found else None}
            if connection.execute(_GO_ON, lease_params(lease) | led).one_or_none() is None:
                raise lease_lost(lease)
            if found is None or content is None:
                return None
            # Its own epochs may be there already, if an answer was lost or another worker had begun. The later ones
            # stay: they are written anew, and a third cell may go on from them meanwhile.
            mine = (curve.c.cell_id == lease.cell.id, curve.c.at <= found.epochs)
            connection.execute(delete(curve).where(*mine))
            theirs = (curve.c.cell_id == found.cell, curve.c.at <= found.epochs)
            of_mine = select(literal(lease.cell.id), *(curve.c[name] for name in _OTHERS)).where(*theirs)
            connection.execute(insert(curve).from_select(["cell_id", *_OTHERS], of_mine))
            rows = connection.execute(select(*CURVE_COLUMNS).where(*theirs).order_by(curve.c.at)).all()
            return content, [read_curve_point(row) for row in rows]

        return self._database.transaction(go_on)

    def prefix_checkpoints(self, study_id: int) -> list[PrefixCheckpoint]:
        """The places from which cells of a study can go on."""
        query = select(fork.c.cell_id, fork.c.at).join(cell).where(cell.c.study_id == study_id)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [PrefixCheckpoint(*row) for row in rows]

    def forget_prefixes(self, study_id: int) -> bool:
        """Keep them no longer, if no cell of the study is open; returns whether that was so."""
        own = select(cell.c.id).where(cell.c.study_id == study_id)
        none_open = ~exists(own.where(tables.open_cells))

        def forget(connection: Connection) -> bool:
            forget_prefixes_of(connection, own.where(none_open))
            return bool(connection.execute(select(none_open)).scalar())

        return self._database.transaction(forget)


def forget_prefixes_of(connection: Connection, cells: Select[Any]) -> None:
    """Let nobody go on from these cells."""
    connection.execute(delete(part).where(part.c.cell_id.in_(cells), part.c.name.startswith("shared-")))
    connection.execute(delete(fork).where(fork.c.cell_id.in_(cells)))


def _kept(place: PrefixCheckpoint) -> Select[Any]:
    return select(fork.c.content).where(fork.c.cell_id == place.cell, fork.c.at == place.epochs)
