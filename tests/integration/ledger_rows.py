"""All rows of a storage that holds one study, in the form of `ledger_tables`."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, func, select, text

from hpo.storage import Storage
from hpo.storage.lease_statements import RUN_OUT
from hpo.storage.tables import cell, checkpoint, curve, fork, part, study

_AS_THEY_ARE = [
    *("arm", "phase", "slot", "seed", "state", "token", "worker", "attempts", "claims", "failed_by", "leader"),
    *("leader_epochs", "epochs", "ended", "score", "error", "reason", "seconds"),
]
_CELLS = select(
    *(cell.c[name] for name in ("id", "params", "trial_id", "trial_number", *_AS_THEY_ARE)),
    ((cell.c.state == "leased") & RUN_OUT).label("run_out"),
    cell.c.started.is_not(None).label("has_started"),
    cell.c.finished.is_not(None).label("has_finished"),
).order_by(cell.c.id)
_PARTS = select(part.c.cell_id, part.c.name, func.count()).group_by(part.c.cell_id, part.c.name)
_TRIALS = text("""
    select trials.trial_id, study_name, number, trials.state, marked.value_json as cell
    from trials join studies on studies.study_id = trials.study_id
    left join trial_user_attributes marked on marked.trial_id = trials.trial_id and marked.key = 'cell'""")
_STEPS = text("select trial_id, step from trial_intermediate_values")


def rows(storage: Storage) -> dict[str, Any]:
    """What the model predicts, as it stands in the database."""
    with storage.engine.connect() as connection:
        trials = connection.execute(_TRIALS).all()
        places = {trial.trial_id: (trial.study_name, trial.number) for trial in trials}
        forks = connection.execute(select(fork.c.cell_id, fork.c.at, fork.c.content))
        checkpoints = connection.execute(select(checkpoint.c.cell_id, checkpoint.c.content))
        return {
            "study": tuple(connection.execute(select(study.c.state, study.c.reason)).one()),
            "cells": {row.id: _cell(row, places) for row in connection.execute(_CELLS)},
            "curves": _curves(connection),
            "checkpoints": {row.cell_id: bytes(row.content) for row in checkpoints},
            "forks": {(row.cell_id, row.at): bytes(row.content) for row in forks},
            "parts": {(key, name): number for key, name, number in connection.execute(_PARTS)},
            "trials": _trials(connection, trials),
        }


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """What is not as expected, and where."""
    if not isinstance(expected, dict) or not isinstance(found, dict):
        return [] if expected == found else [f"{where}: expected {expected!r}, found {found!r}"]
    lines = []
    for key in expected.keys() | found.keys():
        lines += differences(expected.get(key), found.get(key), f"{where}/{key}")
    return lines


def _cell(row: Any, places: dict[int, tuple[str, int]]) -> dict[str, Any]:
    trial = places.get(row.trial_id)
    assert row.trial_number == (trial and trial[1])
    values = {name: row._mapping[name] for name in _AS_THEY_ARE}
    flags = {name: bool(row._mapping[name]) for name in ("run_out", "has_started", "has_finished")}
    params = None if row.params is None else json.loads(row.params)
    return values | flags | {"params": params, "trial": trial}


def _curves(connection: Connection) -> dict[int, dict[int, float]]:
    found: dict[int, dict[int, float]] = {}
    for key, epoch, seconds in connection.execute(select(curve.c.cell_id, curve.c.at, curve.c.seconds)):
        found.setdefault(key, {})[epoch] = seconds
    return found


def _trials(connection: Connection, trials: Any) -> dict[tuple[str, int], dict[str, Any]]:
    steps: dict[int, set[int]] = {trial.trial_id: set() for trial in trials}
    for trial_id, step in connection.execute(_STEPS):
        steps[trial_id].add(step)
    return {
        (trial.study_name, trial.number): {
            "cell": json.loads(trial.cell),
            "state": trial.state,
            "steps": steps[trial.trial_id],
        }
        for trial in trials
    }
