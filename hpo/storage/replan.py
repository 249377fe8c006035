"""Cells that follow from their arm's search no more are withdrawn, and restored if they do again.

Nothing is lost by it: a withdrawn cell keeps its trial, its checkpoint and its result. Nobody waits for one. To Optuna
a trial that had begun is one that waits, until its cell is restored.

    planned, done, failed ──withdraw──▶ withdrawn ──restore──▶ planned, done, failed, as it was
"""

from __future__ import annotations

from optuna.trial import TrialState
from sqlalchemy import Connection, bindparam, case, update

from hpo.storage.optuna.changes import set_open_trials
from hpo.storage.rows import PlanChanges
from hpo.storage.states import WITHDRAWN
from hpo.storage.tables import cell

_THIS = cell.c.id == bindparam("this")
_WITHDRAW = update(cell).where(_THIS, cell.c.state != "leased").values(state=WITHDRAWN)
_WAS = case((cell.c.ended.is_not(None), "done"), (cell.c.finished.is_not(None), "failed"), else_="planned")
_RESTORE = update(cell).where(_THIS, cell.c.state == WITHDRAWN).values(state=_WAS)


def withdraw_and_restore(connection: Connection, changes: PlanChanges) -> int:
    """Withdraw what is unneeded, but for cells that a worker holds, and restore the others; returns how many."""
    # What a worker holds it may end; it is withdrawn when the plan is looked at next.
    withdrawn = [{"this": cell.id} for cell in changes.unneeded if cell.state != "leased"]
    restored = [{"this": cell.id} for cell in changes.restored]
    if withdrawn:
        connection.execute(_WITHDRAW, withdrawn)
        set_open_trials(connection, [cell["this"] for cell in withdrawn], TrialState.WAITING)
    if restored:
        connection.execute(_RESTORE, restored)
        set_open_trials(connection, [cell["this"] for cell in restored], TrialState.RUNNING)
    return len(withdrawn) + len(restored)
