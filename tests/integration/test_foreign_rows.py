"""What another program, or a worker that means harm, has put into our tables is told in words, and hides no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Table, Update, update

from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import Storage, open_storage
from hpo.storage.rows import LONGEST_TEXT
from hpo.storage.tables import cell, curve, study, worker
from tests.integration.helpers import make_study, work_here

NO_TABLES = ("nonsense", "[]", "null", "7", "[" * 100_000, '{"a": ' + "9" * 5000 + "}")


@pytest.fixture
def opened(storage_url: str) -> Iterator[Storage]:
    """A storage with a study that is done."""
    storage = open_storage(storage_url)
    begin_study(storage, make_study())
    work_here(storage)
    yield storage
    storage.close()


def change(storage: Storage, statement: Update) -> None:
    """As somebody else does."""
    with storage.engine.begin() as connection:
        connection.execute(statement)


def said(url: str, *verb: str) -> tuple[int, str]:
    """Exit code and output of a verb, which may not end in a traceback."""
    done = CliRunner().invoke(cli, [*verb, "--storage", url])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_worker_that_says_nonsense(opened: Storage, storage_url: str) -> None:
    """The other workers and the studies are shown all the same."""
    for environment in (*NO_TABLES, '{"hpo": {}, "commit": ["x"], "gpu": 7, "driver": "1.2"}'):
        change(opened, update(worker).values(environment=environment))
        for verb in (["status"], ["nodes"], ["nodes", "--json"]):
            assert 0 == said(storage_url, *verb)[0], (verb, environment[:20])


def test_parameters_that_are_none(opened: Storage, storage_url: str) -> None:
    """The cell is named."""
    for params in NO_TABLES:
        change(opened, update(cell).values(params=params))
        code, output = said(storage_url, "report", "digits")
        assert 2 == code, params[:20]
        assert "the stored parameters of trial 1 is not a JSON object" in output


def test_an_epoch_that_is_none(opened: Storage, storage_url: str) -> None:
    """What was measured must be numbers."""
    for numbers in (*NO_TABLES, '{"l2": "x"}', '{"l2": {}}'):
        change(opened, update(curve).values(metrics=numbers))
        code, output = said(storage_url, "report", "digits")
        assert 2 == code, numbers[:20]
        assert "is not a" in output


INFINITE, HUGE = float("inf"), 1e300
NUMBERS = [
    *(
        (cell, name, value)
        for name in ("seconds", "score", "started", "finished")
        for value in (INFINITE, -INFINITE, HUGE)
    ),
    *((cell, name, value) for name in ("epochs", "slot", "seed", "leader_epochs") for value in (2**31 - 1, -5)),
    *((curve, "seconds", value) for value in (INFINITE, HUGE)),
    *((worker, name, value) for name in ("seen", "started", "ended") for value in (INFINITE, -INFINITE, HUGE)),
    (worker, "pid", -1),
]
VERBS = (["status"], ["status", "--json"], ["nodes", "--all"], ["nodes", "--json", "--all"], ["report", "digits"])


@pytest.mark.parametrize(("table", "column", "value"), NUMBERS, ids=str)
def test_numbers_that_can_t_be(
    opened: Storage, storage_url: str, tmp_path: Path, table: Table, column: str, value: float
) -> None:
    """Every verb says something, and none ends in a traceback; the other studies are shown."""
    begin_study(opened, make_study(name="other"))
    change(opened, update(table).values({column: value}))
    for verb in (*VERBS, ["export", "digits", "-o", str(tmp_path)], ["report", "digits", "-o", str(tmp_path)]):
        code, output = said(storage_url, *verb)
        assert code in (0, 2), (verb, output)
        assert "Infinity" not in output, verb
    assert "other: " in said(storage_url, "status")[1]


PLANS = (
    *NO_TABLES,
    "{}",
    '{"arms": 7}',
    '{"arms": {"only": 7}, "protocol": {}, "trial": {}}',
    '{"arms": {"only": {}}}',
)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan[:40])
def test_a_plan_that_is_none(opened: Storage, storage_url: str, plan: str) -> None:
    """It is named where it is asked for, hides no other study, is left alone by workers, and can be removed."""
    begin_study(opened, make_study(name="other"))
    change(opened, update(study).where(study.c.name == "digits").values(spec=plan, state="running"))
    for verb in (["status"], ["status", "digits"]):
        code, output = said(storage_url, *verb)
        assert (0, True) == (code, "digits: unreadable" in output), output
    assert "other: planned" in said(storage_url, "status")[1]
    assert 0 == said(storage_url, "status", "--json")[0]
    code, output = said(storage_url, "report", "digits")
    assert (2, True) == (code, "'digits'" in output), output
    code, output = said(storage_url, "worker", "--device=cpu")
    assert 2 == code, output
    assert {"done"} == {cell.state for cell in opened.ledger.cells(opened.ledger.study("other").id)}
    assert 0 == said(storage_url, "delete", "digits", "--yes")[0]


def test_texts_without_an_end(opened: Storage, storage_url: str) -> None:
    """As much of them is read as there is any use for."""
    change(opened, update(cell).values(state="failed", error="x" * 5_000_000, reason="y" * 5_000_000))
    change(opened, update(worker).values(reason="z" * 5_000_000, environment="{" * 5_000_000))
    for verb in (["status"], ["status", "--json"], ["nodes", "--all"], ["report", "digits"]):
        code, output = said(storage_url, *verb)
        assert code in (0, 1, 2)
        assert len(output) < 3 * LONGEST_TEXT, verb
