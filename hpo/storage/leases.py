"""What a worker does with a cell: claim it, and write to it for as long as its lease holds.

Every method is one transaction, on Postgres one statement, and may be repeated if its answer was lost. A worker writes
only under its lease's token; the moment another worker has claimed the cell, the token differs, and the write raises
`LeaseLost` without a trace.

    planned ──claim──▶ leased ──finish──▶ done
       ▲                 │ ├──release, retry_later──▶ planned
       │                 │ └──fail──▶ failed
       └── lease ran out ┘  (claimed again: the next worker continues the same trial)

What is to be written to Optuna's tables together with ours is given as `also`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Update, select

from hpo.errors import LeaseLost, OptunaStudyGone
from hpo.search.space import Params
from hpo.storage import lease_statements as sql
from hpo.storage.connection.database import Database
from hpo.storage.connection.guarded import Change, Query, Rows, Statement, Upsert, execute_guarded_with_query
from hpo.storage.optuna.new_trial import NewTrial, new_trial
from hpo.storage.rows import Lease, curve_row, metrics_text, read_cell
from hpo.storage.tables import checkpoint, curve, fork
from hpo.storage.texts import storable
from hpo.trainers.trainer import Evaluation

NO_EPOCH = 2**31 - 1
"""An epoch beyond every other."""


class Leases:
    """The cells, as workers see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        worker_id: str,
        seconds: float,
        studies: Sequence[str] = (),
        *,
        without: Collection[str] = (),
        passed_over: Collection[int] = (),
    ) -> Lease | None:
        """Take the first cell that is free, or whose lease ran out, for `seconds`; None if there is none.

        Only of the `studies` of these names, if there are any; of none whose uuid is in `without`; and none of the
        cells that are `passed_over`.
        """
        parameters = {
            "new_token": secrets.token_hex(16),
            "new_worker": worker_id,
            "length": seconds,
            "without": list(without),
            "passed_over": list(passed_over),
        }
        statement, some = (sql.CLAIM_OF_SOME, {"studies": list(studies)}) if studies else (sql.CLAIM, {})
        found = execute_guarded_with_query(self._database, statement, parameters | some)
        if found is None:
            return None
        row, _ = found
        return Lease(read_cell(row), row.study_id, row.study_uuid, row.token)

    def begin_trial(self, lease: Lease, optuna_study: str, started: datetime) -> NewTrial:
        """The cell's Optuna trial; if it has none, one is made in the transaction in which it is noted.

        So there is never a trial without its cell or a second one for a cell, whoever vanishes when.

        Raises:
            LeaseLost: another worker holds the cell; nothing was made.
            OptunaStudyGone: there is no Optuna study of this name that is ours; nothing was made.
        """
        held = {"held_cell": lease.cell.id, "held_token": lease.token}
        made = new_trial(self._database, held, optuna_study, json.dumps(lease.study_uuid), started)
        if made is not None:
            return made
        row = self._database.read(lambda connection: connection.execute(sql.TRIAL, held).one_or_none())
        if row is None:
            raise lease_lost(lease)
        if row.trial_id is None:
            raise OptunaStudyGone(f"the Optuna study {optuna_study} is missing")
        return NewTrial(row.trial_id, row.trial_number)  # the answer to an earlier try was lost

    def propose(self, lease: Lease, params: Params, also: Sequence[Statement] = ()) -> None:
        """Keep the parameters that the sampler has proposed for the cell."""
        self.write(sql.PROPOSE, lease, {"proposed": json.dumps(params)}, also)

    def renew(self, lease: Lease, seconds: float) -> None:
        """Keep the cell for `seconds` from now.

        Raises:
            LeaseLost: another worker holds it.
        """
        self.write(sql.RENEW, lease, {"length": seconds})

    def record(
        self,
        lease: Lease,
        epochs: Sequence[Evaluation],
        seconds: float,
        saved: bytes | None = None,
        also: Sequence[Statement] = (),
        forked: bytes | None = None,
        question: Query | None = None,
    ) -> tuple[str, Rows]:
        """Keep the metrics of epochs, and a checkpoint if given, and renew the lease.

        `forked` is a checkpoint after the last of them, for other cells to go on from. Returns the study's state, and
        the answer to the question, if there is one.

        Raises:
            LeaseLost: another worker holds the cell; nothing was written.
        """
        kept = [*_saving(lease, saved), *_forking(lease, epochs[-1].at, forked)]
        parameters = {"length": seconds} | _progress_of(epochs)
        row, answer = self._write_and_read(
            sql.RECORD, lease, parameters, [*_curve(lease, epochs), *kept, *also], question
        )
        return str(row.state), answer

    def release(self, lease: Lease, saved: bytes | None = None, reason: str | None = None) -> None:
        """Give the cell back unfinished, for whoever claims next; this does not count as an attempt."""
        self.write(sql.RELEASE, lease, {"in_a_line": reason and storable(reason)}, _saving(lease, saved))

    def retry_later(self, lease: Lease, error: str, reason: str, *, counted: bool = True) -> None:
        """Give the cell back after an attempt that failed: with its traceback, and the reason in a line.

        One that is not `counted` leaves the last attempt to another worker.
        """
        statement = sql.RETRY_LATER if counted else sql.LEAVE_TO_OTHERS
        self.write(statement, lease, {"why": storable(error), "in_a_line": storable(reason)})

    def fail(self, lease: Lease, error: str, reason: str, also: Sequence[Statement] = ()) -> None:
        """The cell has failed for good."""
        why = {"why": storable(error), "in_a_line": storable(reason)}
        self.write(sql.FAIL, lease, why, [*_forgetting(lease), *also])

    def finish(
        self,
        lease: Lease,
        ended: str,
        score: float | None,
        metrics: Mapping[str, float | None],
        also: Sequence[Statement] = (),
        epochs: Sequence[Evaluation] = (),
        weights: bytes | None = None,
        reason: str | None = None,
    ) -> bool:
        """The cell is done, with this result; `epochs` are its last, as far as they have not been recorded.

        `metrics` are those after its end, by name; `weights` are kept in place of its checkpoint; `reason` says why it
        came to no number, where no number says so.

        Returns whether its Optuna trial is there, so that `also` could be written to it.
        """
        parameters = _progress_of(epochs) | {
            "how": ended,
            "final": score,
            "measured": metrics_text(metrics),
            "in_a_line": reason and storable(reason),
        }
        forgotten = _forgetting(lease) if weights is None else [*_forgetting_parts(lease), *_saving(lease, weights)]
        row = self.write(sql.FINISH, lease, parameters, [*_curve(lease, epochs), *forgotten, *also])
        return bool(row.has_trial)

    def checkpoint(self, lease: Lease) -> bytes | None:
        """The last checkpoint of the cell."""
        query = select(checkpoint.c.content).where(checkpoint.c.cell_id == lease.cell.id)
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def write(
        self, first: Update, lease: Lease, parameters: dict[str, Any], writes: Sequence[Statement] = ()
    ) -> Row[Any]:
        row, _ = self._write_and_read(first, lease, parameters, writes, None)
        return row

    def _write_and_read(
        self,
        first: Update,
        lease: Lease,
        parameters: dict[str, Any],
        writes: Sequence[Statement],
        reading: Query | None,
    ) -> tuple[Row[Any], Rows]:
        found = execute_guarded_with_query(self._database, first, lease_params(lease) | parameters, writes, reading)
        if found is None:
            raise lease_lost(lease)
        return found


def lease_params(lease: Lease) -> dict[str, Any]:
    """The parameters by which a statement knows a lease."""
    return {"held_cell": lease.cell.id, "held_token": lease.token}


def lease_lost(lease: Lease) -> LeaseLost:
    """What is raised when the token differs."""
    return LeaseLost(f"the lease of trial {lease.cell.id} is lost: another worker continues it")


def _progress_of(epochs: Sequence[Evaluation]) -> dict[str, Any]:
    return {
        "epoch": epochs[-1].at if epochs else 0,
        "first_epoch": epochs[0].at if epochs else NO_EPOCH,
        "spent": sum(epoch.seconds for epoch in epochs),
    }


def _curve(lease: Lease, epochs: Sequence[Evaluation]) -> list[Statement]:
    if not epochs:
        return []
    return [Upsert(curve, ("cell_id", "at"), [curve_row(lease.cell.id, epoch) for epoch in epochs])]


def _saving(lease: Lease, content: bytes | None) -> list[Statement]:
    if content is None:
        return []
    return [Upsert(checkpoint, ("cell_id",), [{"cell_id": lease.cell.id, "content": content}], time="saved")]


def _forking(lease: Lease, at: int, content: bytes | None) -> list[Statement]:
    if content is None:
        return []
    return [Upsert(fork, ("cell_id", "at"), [{"cell_id": lease.cell.id, "at": at, "content": content}])]


def _forgetting(lease: Lease) -> list[Statement]:
    return [Change(sql.FORGET, {"forgotten_cell": lease.cell.id}), *_forgetting_parts(lease)]


def _forgetting_parts(lease: Lease) -> list[Statement]:
    return [Change(sql.FORGET_PARTS, {"forgotten_cell": lease.cell.id})]
