"""A large study whose trials are all done: results made up, tables as real ones, our own and Optuna's."""

from __future__ import annotations

import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.trial import TrialState
from sqlalchemy import Connection, bindparam, func, insert, select, update

from hpo.optuna_private import (
    STUDIES,
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_PARAMS,
    TRIAL_USER_ATTRS,
    TRIAL_VALUES,
    TRIALS,
)
from hpo.plan import advance
from hpo.search.space import Params, Values
from hpo.service import begin_study
from hpo.storage import Storage
from hpo.storage.optuna.studies import study_name
from hpo.storage.rows import Cell
from hpo.storage.states import CONFIRM
from hpo.storage.tables import cell as cell_table
from hpo.storage.tables import curve as curve_table
from hpo.study import StudySpec
from hpo.study.file import parse

Row = tuple[Any, dict[str, Any]]
"""A table and what is inserted into it."""

NAME = "large"
BATCH = 20_000
FINITE = "FINITE"


def make_study(trials: int, epochs: int, arms: int) -> StudySpec:
    """Arms of random search that come to `trials` trials together, those of the confirm phase included."""
    seeds = 5
    search = {
        "lr.peak": {"low": 0.01, "high": 0.5, "log": True},
        "regularizers.l2.strength": {"low": 1e-5, "high": 1e-1, "log": True},
    }
    names = [f"arm{number}" for number in range(1, arms + 1)]
    return parse(
        {
            "name": NAME,
            "trial": {
                "epochs": epochs,
                "batch_size": 128,
                "data": {"kind": "digits"},
                "model": {"kind": "mlp", "hidden": [64]},
                "optimizer": {"kind": "sgd"},
                "lr": {"kind": "cosine", "peak": 0.1},
                "regularizers": {"l2": {"kind": "l2", "strength": 1e-3}},
                "gradient_norms": ["output.weight"],
            },
            "protocol": {"budget": {"trials": trials // arms - seeds}, "confirm": {"top": 1, "seeds": seeds}},
            "arms": {name: {"sampler": {"kind": "random"}, "search": search} for name in names},
            "claims": [
                {"text": f"{name} is better than {names[0]}", "greater": {"arm": name, "than": names[0]}}
                for name in names[1:]
            ],
        }
    )


def fill(storage: Storage, study: StudySpec) -> int:
    """Plan the study and give every trial a result; returns how many there are."""
    row = begin_study(storage, study)
    while planned := [cell for cell in storage.ledger.cells(row.id) if cell.state == "planned"]:
        with storage.engine.begin() as connection:
            _finish(connection, study, planned)
        advance(storage, row, study)
    if storage.engine.dialect.name == "postgresql":
        with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum analyze")  # what the server does by itself after a while
    return len(storage.ledger.cells(row.id))


def _finish(connection: Connection, study: StudySpec, cells: Sequence[Cell]) -> None:
    known = select(STUDIES.c.study_name, STUDIES.c.study_id)
    studies = {row.study_name: row.study_id for row in connection.execute(known)}
    last: int = connection.execute(select(func.coalesce(func.max(TRIALS.c.trial_id), 0))).scalar_one()
    rows: defaultdict[Any, list[dict[str, Any]]] = defaultdict(list)
    numbers = dict.fromkeys(studies, 0)
    chance = random.Random(len(cells))
    for trial_id, cell in enumerate(cells, last + 1):
        name = study_name(study.name, cell.arm, cell.phase)
        params = cell.params or _propose(study, cell.arm, chance)
        curve = _accuracies(params, study.arm(cell.arm).length, chance)
        for table, row in _trial(study, cell, trial_id, studies[name], numbers[name], params, curve):
            rows[table].append(row)
        for table, row in _cell(cell, trial_id, numbers[name], params, curve):
            rows[table].append(row)
        numbers[name] += 1
    results = rows.pop(cell_table)
    values = {name: bindparam(name) for name in results[0] if name != "key"}
    connection.execute(update(cell_table).where(cell_table.c.id == bindparam("key")).values(values), results)
    for table, inserted in rows.items():
        for start in range(0, len(inserted), BATCH):
            connection.execute(insert(table), inserted[start : start + BATCH])


def _propose(study: StudySpec, arm: str, chance: random.Random) -> Params:
    return {
        path: chance.choice(found.labels())
        if isinstance(found, Values)
        else math.exp(chance.uniform(math.log(found.low), math.log(found.high)))
        for path, found in study.arms[arm].search.items()
    }


def _accuracies(params: Params, epochs: int, chance: random.Random) -> list[float]:
    best = 0.9 - 0.05 * abs(math.log10(float(params["lr.peak"])) + 1) + chance.gauss(0.0, 0.01)
    return [best * (1 - math.exp(-epoch / 4)) for epoch in range(1, epochs + 1)]


def _trial(
    study: StudySpec, cell: Cell, trial_id: int, study_id: int, number: int, params: Params, curve: Sequence[float]
) -> Iterator[Row]:
    """Optuna's rows."""
    now = datetime.now()
    state = {"study_id": study_id, "number": number, "state": TrialState.COMPLETE}
    yield TRIALS, {"trial_id": trial_id, **state, "datetime_start": now, "datetime_complete": now}
    value = {"objective": 0, "value": curve[-1], "value_type": FINITE}
    yield TRIAL_VALUES, {"trial_id": trial_id, **value}
    for path, searched in study.arms[cell.arm].search.items():
        distribution = searched.distribution()
        value = distribution.to_internal_repr(params[path])
        param = {"param_name": path, "param_value": value, "distribution_json": distribution_to_json(distribution)}
        yield TRIAL_PARAMS, {"trial_id": trial_id, **param}
    for key, number in (("cell", cell.id), ("seed", cell.seed)):
        attribute = {"key": key, "value_json": json.dumps(number)}
        yield TRIAL_USER_ATTRS, {"trial_id": trial_id, **attribute}
    for epoch, accuracy in enumerate(curve, 1):
        reported = {"step": epoch, "intermediate_value": accuracy, "intermediate_value_type": FINITE}
        yield TRIAL_INTERMEDIATE_VALUES, {"trial_id": trial_id, **reported}


def _cell(cell: Cell, trial_id: int, number: int, params: Params, curve: Sequence[float]) -> Iterator[Row]:
    """Our rows."""
    now = time.time()
    confirmed = cell.phase == CONFIRM
    yield (
        cell_table,
        {
            "key": cell.id,
            "state": "done",
            "ended": "finished",
            "params": json.dumps(params),
            "trial_id": trial_id,
            "trial_number": number,
            "epochs": len(curve),
            "seconds": 0.1 * len(curve),
            "score": curve[-1],
            "metrics": json.dumps(
                {"validation_loss": 0.1, "validation_accuracy": curve[-1]}
                | ({"test_loss": 0.11, "test_accuracy": curve[-1] - 0.01} if confirmed else {})
            ),
            "claims": 1,
            "started": now,
            "finished": now,
        },
    )
    for epoch, accuracy in enumerate(curve, 1):
        yield (
            curve_table,
            {
                "cell_id": cell.id,
                "at": epoch,
                "seconds": 0.1,
                "metrics": json.dumps(
                    {
                        "step": 10 * epoch,
                        "train_loss": 1 / epoch,
                        "train_accuracy": accuracy,
                        "validation_loss": 1.1 / epoch,
                        "validation_accuracy": accuracy,
                        "lr": params["lr.peak"],
                        "strength.l2": params["regularizers.l2.strength"],
                        "gradient_norm.output.weight": 1 / epoch,
                        "images_per_second": 10_000.0,
                    }
                ),
            },
        )
