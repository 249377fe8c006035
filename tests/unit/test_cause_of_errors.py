"""The cause that is kept of a failed trial: what the database said, and messages whose first line says nothing."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
import sqlalchemy
import torch
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError
from torch import nn

from hpo.words.failure import cause


def kept(error: BaseException) -> str:
    """The traceback as a worker stores it."""
    return "".join(traceback.format_exception(error))


def failed(url: str, statement: str) -> DBAPIError:
    """What a database raises for the statement."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection, pytest.raises(DBAPIError) as raised:
        connection.execute(sqlalchemy.text(statement), {"n": 1})
    engine.dispose()
    return raised.value


def wrapped(error: DBAPIError) -> StorageInternalError:
    """The same as Optuna's storage passes it on."""
    try:
        raise StorageInternalError("An exception is raised during the commit.") from error
    except StorageInternalError as outer:
        return outer


@pytest.mark.parametrize("pack", [lambda error: error, wrapped], ids=["as it is", "wrapped"])
def test_what_the_database_said(postgres_url: str, pack: Callable[[DBAPIError], Exception]) -> None:
    """Not SQLAlchemy's last line, with which every error of a database ends, and not the statement."""
    error = kept(pack(failed(postgres_url, "select no_such_column, :n from hpo_study")))
    assert "Background on this error" in error
    assert cause(error).endswith(' in failed: the database said: column "no_such_column" does not exist')


def test_what_sqlite_said(sqlite_url: str) -> None:
    """The same of the embedded database."""
    error = kept(failed(sqlite_url, "select :n from no_such_table"))
    assert cause(error).endswith(" in failed: the database said: no such table: no_such_table")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("CUDA error: unspecified\nFor debugging consider\n"), "RuntimeError: CUDA error: unspecified"),
        (ValueError(), "ValueError"),
        (ValueError("these:\n  first\n  second"), "ValueError: these: first"),
        (ValueError("these:"), "ValueError: these:"),
    ],
)
def test_the_first_line_that_says_something(error: Exception, expected: str) -> None:
    """With the one that it introduces."""
    with pytest.raises(type(error)) as raised:
        raise error
    assert cause(kept(raised.value)).endswith(f" in test_the_first_line_that_says_something: {expected}")


def test_weights_that_do_not_fit() -> None:
    """PyTorch lists what differs below a line that only introduces."""
    with pytest.raises(RuntimeError) as raised:
        nn.Linear(2, 2).load_state_dict({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)})
    assert "Error(s) in loading state_dict for Linear: size mismatch for weight" in cause(kept(raised.value))


@pytest.mark.parametrize("text", ["3 workers in a row disappeared", "Traceback (most recent call last):\n"])
def test_what_is_no_traceback(text: str) -> None:
    """A sentence stays as it is."""
    assert text.strip() == cause(text)
