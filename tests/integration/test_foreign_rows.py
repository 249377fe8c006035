"""What another program, or a worker that means harm, has put into our tables is told in words, and hides no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from sqlalchemy import Update, update

from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import Storage, open_storage
from hpo.storage.tables import cell, curve, worker
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
        assert "of the parameters of cell 1 is not a JSON object" in output


def test_an_epoch_that_is_none(opened: Storage, storage_url: str) -> None:
    """What was measured must be numbers."""
    for numbers in (*NO_TABLES, '{"l2": "x"}', '{"l2": {}}'):
        change(opened, update(curve).values(metrics=numbers))
        code, output = said(storage_url, "report", "digits")
        assert 2 == code, numbers[:20]
        assert "of an epoch is not a" in output
