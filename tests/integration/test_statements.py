"""Every statement of a cell's life as Postgres gets it, by name: what is sent can be read and reviewed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event

from hpo.service import begin_study
from hpo.storage import Storage, create_storage
from hpo.storage.optuna.trials import Trials
from hpo.storage.rows import Lease
from hpo.trainers.trainer import Evaluation
from tests.integration.helpers import make_study

GOLDEN = Path(__file__).parents[1] / "golden" / "statements-postgresql.sql"
STUDY = make_study(
    {"tpe": {"sampler": {"kind": "tpe"}, "search": {"lr.peak": {"low": 1e-3, "high": 0.5, "log": True}}}},
    budget={"trials": 4},
    pruner={"kind": "median", "startup": 1},
)
CLAUSES = (
    "WITH|SELECT|FROM|WHERE|AND|OR|ORDER BY|LIMIT|FOR UPDATE|UNION ALL|SET|RETURNING|ON CONFLICT|LEFT OUTER JOIN|JOIN|"
    "(?<!FOR )(?<!DO )UPDATE|DELETE FROM|INSERT INTO"
)
TOKEN = re.compile(rf"(?P<clause>\b(?:{CLAUSES})\b(?! \w+\())|(?P<opens>\()|(?P<closes>\))", re.IGNORECASE)


class Recorder:
    """What is sent to the server, by the name of what is done."""

    def __init__(self, storage: Storage) -> None:
        self.sent: dict[str, list[str]] = {}
        self._name = ""

        @event.listens_for(storage.engine, "before_cursor_execute")
        def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
            if self._name:
                self.sent[self._name].append(statement)

    @contextmanager
    def under(self, name: str) -> Iterator[None]:
        """Record what is sent in the block."""
        self._name, self.sent[name] = name, []
        yield
        self._name = ""

    def text(self) -> str:
        """All of it, laid out to be read."""
        named = ((f"-- {name}", *(f"{laid_out(each)};" for each in sent)) for name, sent in self.sent.items())
        return "\n\n".join(part for parts in named for part in parts) + "\n"


def laid_out(statement: str) -> str:
    """A line for each clause, indented by its depth. How many values a list has does not matter, and is not shown."""
    text = " ".join(statement.split())
    text = re.sub(r"\(%\((\w+?)(_\d+)+\)s(::\w+)?(, %\(\1(_\d+)+\)s(::\w+)?)*\)", r"(…)", text)
    text = re.sub(r"%\((\w+)\)s", r":\1", text)
    depth, at, begin, lines = 0, 0, 0, list[str]()
    for token in TOKEN.finditer(text):
        if token["clause"] and token.start() > begin:
            lines.append("  " * at + text[begin : token.start()])
            begin = token.start()
        if token["clause"]:
            at = depth
        depth += bool(token["opens"]) - bool(token["closes"])
    lines.append("  " * at + text[begin:])
    return "\n".join(line.rstrip() for line in lines)


def evaluations(*epochs: int) -> list[Evaluation]:
    """Of these epochs."""
    return [Evaluation(epoch, 0.1, {"validation_accuracy": 0.5}) for epoch in epochs]


def claimed(storage: Storage) -> Lease:
    """The next cell."""
    lease = storage.ledger.claim("a worker", 60.0)
    assert lease is not None
    return lease


def test_statements(storage: Storage) -> None:
    """They are those of the golden file.

    To accept a change: ACCEPT=1 .venv/bin/pytest tests/integration/test_statements.py, and read the diff.
    """
    begin_study(storage, STUDY)
    ledger, trials, record = storage.ledger, Trials(storage, STUDY), Recorder(storage)
    with record.under("claim"):
        lease = claimed(storage)
    with record.under("begin the trial, and propose its parameters"):
        trial, _ = trials.begin(lease)
    trial.report(0.5, 1)
    with record.under("record an epoch, which is a rung"):
        ledger.record(lease, evaluations(1), 60.0, also=trials.changes(trial))
    with record.under("record three epochs"):
        ledger.record(lease, evaluations(2, 3, 4), 60.0)
    with record.under("record an epoch with a checkpoint"):
        ledger.record(lease, evaluations(5), 60.0, b"a checkpoint")
    trial.report(0.6, 6)
    trials.should_prune(trial, None)
    with record.under("record a rung with the pruner's question"):
        ledger.record(lease, evaluations(6), 60.0, None, trials.changes(trial), None, trials.prefetch_query(trial))
    with record.under("renew the lease"):
        ledger.renew(lease, 60.0)
    with record.under("release, with a checkpoint"):
        ledger.release(lease, b"another checkpoint")
    lease = claimed(storage)
    with record.under("read the checkpoint"):
        ledger.checkpoint(lease)
    with record.under("finish"):
        told = trials.tell(trial, trials.pruner(lease.cell), "finished", 7, 7, 0.6)
        ledger.finish(lease, "finished", 0.6, {"validation_accuracy": 0.6}, told, evaluations(7))
    lease = claimed(storage)
    trials.begin(lease)
    with record.under("try again later"):
        ledger.retry_later(lease, "a traceback", "a reason")
    lease = claimed(storage)
    with record.under("fail for good"):
        ledger.fail(lease, "a traceback", "a reason", trials.failure(lease))
    if os.environ.get("ACCEPT"):
        GOLDEN.write_text(record.text())
    assert GOLDEN.read_text() == record.text()


def test_a_claim_finds_the_first_open_trial_by_the_index_of_open_ones(tmp_path: Path) -> None:
    """In SQLite too, where it would else sort all that are open: fifty milliseconds for a hundred thousand."""
    storage = create_storage(f"sqlite:///{tmp_path}/hpo.db")
    begin_study(storage, STUDY)
    sent: list[tuple[str, Any]] = []

    @event.listens_for(storage.engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        sent.append((statement, parameters))

    claimed(storage)
    [claim] = [each for each in sent if each[0].startswith("UPDATE hpo_cell")]
    with storage.engine.connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"explain query plan {claim[0]}", claim[1])]
    assert any("USING INDEX hpo_cell_open_of_study" in step for step in plan), plan
    assert not any("FOR ORDER BY" in step for step in plan), plan
