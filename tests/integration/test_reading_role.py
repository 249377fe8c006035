"""A database role that may only read: reports are written, and what it may not do is said in a line."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, make_url, text

from benchmarks.large_study import NAME, make_study
from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import open_storage


@pytest.fixture
def reading_url(postgres_url: str) -> Iterator[str]:
    """The storage as a role that may select and nothing else, with a study of which nothing has been run."""
    storage = open_storage(postgres_url)
    begin_study(storage, make_study(20, 3, 2))
    storage.close()
    role = f"reader_{uuid.uuid4().hex[:12]}"
    owner = create_engine(postgres_url)
    with owner.begin() as connection:
        connection.execute(text(f"create role {role} login password 'sesame'"))
        connection.execute(text(f"grant select on all tables in schema public to {role}"))
    yield make_url(postgres_url).set(username=role, password="sesame").render_as_string(hide_password=False)
    with owner.begin() as connection:
        connection.execute(text(f"drop owned by {role}"))
        connection.execute(text(f"drop role {role}"))
    owner.dispose()


def run(url: str, *arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(cli, arguments, env={"HPO_STORAGE": url})


def test_a_report(
    reading_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All its files are there, and one line says why the dashboard shows nothing of it."""
    monkeypatch.chdir(tmp_path)
    result = run(reading_url, "report", NAME, "-o", "out")
    assert 0 == result.exit_code, result.output
    assert (tmp_path / "out" / f"{NAME}.html").exists()
    (line,) = caplog.messages
    assert line.startswith("not shown in the dashboard: permission denied for ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", [["stop", NAME], ["retry", NAME], ["delete", NAME, "--yes"]])
def test_what_it_may_not_do(reading_url: str, arguments: list[str]) -> None:
    """One message, with a hint, and exit code 2; nothing is lost."""
    result = run(reading_url, *arguments)
    assert 2 == result.exit_code, result.output
    error, hint = result.stderr.splitlines()
    assert error.startswith("error: postgresql") and "permission denied for " in error
    assert hint.startswith("hint: the role lacks a privilege")
    assert "sesame" not in result.stderr
    assert NAME in run(reading_url, "status").stdout
