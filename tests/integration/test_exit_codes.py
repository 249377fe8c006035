"""Errors of the file system and of the database: a message, a hint, an exit code, and no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from hpo.cli import cli
from hpo.cli.exit_codes import exit_codes
from hpo.cli.folders import try_folders
from hpo.storage import open_storage
from tests.acceptance.test_bad_input import STUDY


def verb(does: Callable[[str], object], storage: str = "sqlite:///hpo.db") -> Result:
    """A verb of its own that does this, run to its end."""

    @click.command()
    @click.option("--storage", default=storage)
    @exit_codes
    def own(storage: str) -> None:
        does(storage)

    return CliRunner().invoke(own)


def check(result: Result, code: int, *lines: str) -> None:
    """What it says on stderr begins so, line by line; and nothing else."""
    said = result.stderr.splitlines()
    assert (code, len(lines)) == (result.exit_code, len(said)), result.output
    for line, begins in zip(said, lines, strict=True):
        assert line.startswith(begins)


@pytest.mark.parametrize(
    ("does", "code", "message", "hint"),
    [
        (lambda path: (path / "none").read_text(), 2, "none: No such file", "check the path"),
        (lambda path: path.read_text(), 2, ": Is a directory", "check the path: it is a folder"),
        (lambda path: (path / "file" / "x").mkdir(), 2, "file/x: Not a directory", "check the path: a part"),
        (lambda path: (path / "file").mkdir(), 2, "file: File exists", "check the path: a file"),
        (lambda path: (path / ("n" * 300)).touch(), 2, ": File name too long", "give a shorter path"),
        (lambda path: Path("/sys/x").mkdir(), 2, "/sys/x: ", "give another place"),  # not even root may
        (lambda path: Path("/dev/full").write_text("x"), 1, "No space left on device", "make room there"),
    ],
)
def test_the_file_system(tmp_path: Path, does: Callable[[Path], object], code: int, message: str, hint: str) -> None:
    """The path, what the system says of it, and what to do."""
    (tmp_path / "file").touch()
    result = verb(lambda storage: does(tmp_path))
    check(result, code, "error: ", f"hint: {hint}")
    assert message in result.stderr


def test_an_error_that_nobody_foresaw() -> None:
    """It is a bug, and keeps its traceback."""
    result = verb(lambda storage: {}["key"])
    assert isinstance(result.exception, KeyError)


def test_ctrl_c() -> None:
    """As a shell says it."""

    def interrupted(storage: str) -> None:
        raise KeyboardInterrupt

    check(verb(interrupted), 130)


def test_a_connection_that_is_cut(postgres_url: str) -> None:
    """In the middle of a verb: what is known of it, once; trying again may help."""

    def cut(storage: str) -> None:
        with open_storage(storage).engine.begin() as connection:
            connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    result = verb(cut, postgres_url)
    check(result, 1, "error: postgresql", "hint: ")
    assert "closed the connection" in result.stderr or "terminating connection" in result.stderr
    assert "hpo:***@" in result.stderr


def test_an_error_of_the_database_that_stays(postgres_url: str) -> None:
    """A number that doesn't fit is no outage."""

    def overflow(storage: str) -> None:
        with open_storage(storage).engine.begin() as connection:
            connection.execute(text("select 2147483647 + 1"))

    result = verb(overflow, postgres_url)
    check(result, 1, "error: ")
    assert "integer out of range" in result.stderr
    assert "went away" not in result.stderr


def test_a_folder_that_the_end_needs(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried before anything is planned."""
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(STUDY)
    Path("hpo-reports").touch()
    result = CliRunner().invoke(cli, ["launch-study", "study.toml", "--storage", sqlite_url])
    check(result, 2, "error: hpo-reports/small: ", "hint: start where you may write")
    assert [] == open_storage(sqlite_url).ledger.studies()


def test_no_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named by the variable that sets it."""
    monkeypatch.setattr("tempfile.tempdir", "/sys")
    check(verb(lambda storage: try_folders(tmp_path / "new")), 2, "error: temporary files: ", "hint: set TMPDIR")
    assert (tmp_path / "new").is_dir()


def test_a_report_that_cannot_be_written(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict stands on stdout; the file that could not be written is named, not the one beside it."""
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(STUDY)
    Path("file").touch()
    run = CliRunner()
    assert 0 == run.invoke(cli, ["launch-study", "study.toml", "--storage", sqlite_url, "--workers=0"]).exit_code
    for arguments in (["report", "small"], ["export", "small"]):
        result = run.invoke(cli, [*arguments, "--storage", sqlite_url, "-o", "/sys/x"])
        check(result, 2, "error: /sys/x/small", "hint: give another place")
    assert "small" in run.invoke(cli, ["report", "small", "--storage", sqlite_url]).stdout
