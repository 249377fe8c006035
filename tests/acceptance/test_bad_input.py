"""Bad input: one clear message on stderr, exit code 2, no traceback, no password, and nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from hpo.cli import cli
from hpo.storage import create_storage, open_storage, tables

STUDY = """
name = "small"
[trial]
epochs = 2
batch_size = 32
data = { kind = "digits", train_limit = 100 }
model = { kind = "mlp", hidden = [8] }
optimizer = { kind = "sgd" }
lr = { kind = "constant", peak = 0.1 }
regularizers.l2 = { kind = "l2", strength = 1e-3 }
[arms.grid]
search."lr.peak" = { values = [0.1, 0.2] }
[[claims]]
text = "a claim"
greater = { arm = "grid", than = "other", metric = "validation_accuracy" }
[arms.other]
search."lr.peak" = { values = [0.1, 0.3] }
"""

Write = Callable[..., str]


@pytest.fixture
def study_file(tmp_path: Path) -> Write:
    """Writes the small study with replacements, and returns its path."""

    def write(*replacements: tuple[str, str]) -> str:
        text = STUDY
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "study.toml"
        path.write_text(text)
        return str(path)

    return write


def run(*arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(cli, arguments)


def check_refused(result: Result, *parts: str) -> None:
    """One message that names what matters, and exit code 2."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr


MISTAKES = [
    ("unknown key", ("peak = 0.1 }", "peek = 0.1 }"), ["trial.lr", "unknown key 'peek'", "did you mean 'peak'"]),
    ("unknown top key", ('name = "small"', 'name = "small"\nnmae = 1'), ["unknown key 'nmae'", "did you mean 'name'"]),
    ("unknown kind", ('"sgd"', '"sdg"'), ["trial.optimizer", "unknown kind 'sdg'", "did you mean 'sgd'"]),
    ("no kind", ('kind = "sgd"', ""), ["trial.optimizer", "a table with a kind"]),
    ("out of range", ("epochs = 2", "epochs = 0"), ["trial.epochs", "greater than or equal to 1", "0"]),
    ("no number", ("batch_size = 32", 'batch_size = "many"'), ["trial.batch_size", "valid integer", "'many'"]),
    ("not finite", ("strength = 1e-3", "strength = nan"), ["trial.regularizers.l2.strength", "finite"]),
    ("missing", ("epochs = 2", ""), ["trial.epochs", "missing"]),
    ("empty grid", ("[0.1, 0.2]", "[]"), ['arms.grid.search."lr.peak".values', "at least 1"]),
    ("a value twice", ("[0.1, 0.2]", "[0.1, 0.1]"), ['arms.grid.search."lr.peak"', "twice"]),
    ("unknown arm", ('than = "other"', 'than = "othre"'), ["claims.0.greater.than", "'othre'", "did you mean 'other'"]),
    (
        "two names for one path",
        (
            'search."lr.peak" = { values = [0.1, 0.2] }',
            'search = { "lr.peak" = { values = [1] }, lr.peak = { values = [2] } }',
        ),
        ["arms.grid", "'lr.peak' is given twice"],
    ),
    (
        "no such path",
        ('search."lr.peak" = { values = [0.1, 0.2] }', 'search."lr.top" = { values = [1] }'),
        ["unknown key 'top'"],
    ),
    ("searched out of range", ("[0.1, 0.2]", "[0.1, -0.2]"), ["arms.grid.trial.lr.peak", "greater than 0", "-0.2"]),
    (
        "a range in a grid",
        ("values = [0.1, 0.2]", "low = 0.1, high = 0.2"),
        ['arms.grid.search."lr.peak"', "a grid needs values"],
    ),
    ("low above high", ("values = [0.1, 0.2]", "low = 0.3, high = 0.2"), ['arms.grid.search."lr.peak"', "below high"]),
    ("test without confirm", ("validation_accuracy", "test_accuracy"), ["claims.0", "needs a confirm phase"]),
    ("a bad name", ('name = "small"', 'name = "a/b"'), ["name", "'a/b'"]),
    ("no TOML", ("[arms.grid]", "[arms.grid"), ["not a TOML file", "line"]),
    (
        "a path outside",
        ('{ kind = "digits", train_limit = 100 }', '{ kind = "npz", file = "../x.npz" }'),
        ["trial.data.file", ".."],
    ),
]


@pytest.mark.parametrize(("replacement", "parts"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_in_the_file(study_file: Write, replacement: tuple[str, str], parts: list[str]) -> None:
    """`hpo check` names the path, what was given and what is allowed."""
    check_refused(run("check", study_file(replacement)), *parts)


def test_all_mistakes_at_once(study_file: Write) -> None:
    """A file with several mistakes is told of all of them, one line each."""
    result = run("check", study_file(("epochs = 2", "epochs = 0"), ('"sgd"', '"sdg"')))
    check_refused(result, "trial.epochs", "trial.optimizer")


def test_a_missing_file() -> None:
    """The path and what to give instead."""
    check_refused(run("check", "nowhere.toml"), "nowhere.toml", "No such file")


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("trial.epochs", "PATH=VALUE"),
        ("trial.epoch=3", "unknown key 'epoch'"),
        ("=3", "PATH=VALUE"),
        ("a b=3", "not a path"),
    ],
)
def test_a_mistake_in_a_setting(study_file: Write, setting: str, part: str) -> None:
    """`--set` is checked like the file."""
    check_refused(run("check", study_file(), "--set", setting), part)


def test_a_grid_larger_than_its_budget(study_file: Write) -> None:
    """Equal compute is checked before anything runs."""
    result = run("check", study_file(), "--set", "protocol.budget={epochs=3}")
    check_refused(result, "arms.grid", "the grid's 2 trials of 2 epochs need 4 epochs, the budget is 3")


URLS = [
    ("mysql+pymysql://root:sesame@localhost/x", "mysql+pymysql"),
    ("nonsense", "can't be read"),
    ("postgresql://u:a@sesame@127.0.0.1/x", "more than one @"),
    ("sqlite://", "in memory"),
    ("sqlite:////nowhere/at/all/hpo.db", "unable to open"),
]
AWAY = [
    ("postgresql://hpo:sesame@127.0.0.1:1/x", "Connection refused"),
    ("postgresql://hpo:sesame@no-such-host.invalid/x", "no-such-host.invalid"),
]


@pytest.mark.parametrize(("url", "part"), URLS)
def test_a_storage_that_cannot_be_opened(study_file: Write, url: str, part: str) -> None:
    """What is wrong with it, and never its password."""
    result = run("launch-study", study_file(), "--storage", url, "--workers", "0")
    check_refused(result, part)
    assert "sesame" not in result.output


@pytest.mark.parametrize(("url", "part"), AWAY)
def test_a_storage_that_is_away(study_file: Write, url: str, part: str) -> None:
    """It may be back in a minute, so it is no thing that a person must mend: exit code 1."""
    result = run("launch-study", study_file(), "--storage", url, "--workers", "0")
    assert 1 == result.exit_code, result.output
    assert part in result.stderr and "hint: " in result.stderr
    assert "Traceback" not in result.output and "sesame" not in result.output


def test_a_wrong_password(study_file: Write, postgres_url: str) -> None:
    """The server's answer, the URL masked, and where a password is best kept."""
    user, rest = postgres_url.split("@")
    wrong = f"{user.rsplit(':', 1)[0]}:sesame@{rest}"
    result = run("launch-study", study_file(), "--storage", wrong, "--workers", "0")
    check_refused(result, "password authentication failed", "hpo:***@", "PGPASSFILE")
    assert "sesame" not in result.output


def test_a_database_without_studies(empty_postgres_url: str) -> None:
    """Reading commands don't make tables."""
    check_refused(run("status", "--storage", empty_postgres_url), "holds no studies yet", "hpo launch-study")


def test_a_newer_schema(study_file: Write, storage_url: str) -> None:
    """A database that a newer hpo has made is left alone."""
    storage = open_storage(storage_url)
    with storage.engine.begin() as connection:
        connection.execute(update(tables.version).values(version=tables.SCHEMA_VERSION + 1))
    for arguments in (["launch-study", study_file(), "--workers", "0"], ["status"], ["worker"]):
        check_refused(run(*arguments, "--storage", storage_url), f"version {tables.SCHEMA_VERSION + 1}", "install")


def test_a_changed_file_under_the_same_name(study_file: Write, storage_url: str) -> None:
    """Launching again resumes; a changed file is refused with what differs, and the stored study stays."""
    launch = ["--storage", storage_url, "--workers", "0"]
    assert run("launch-study", study_file(), *launch).exit_code == 0
    assert run("launch-study", study_file(), *launch).exit_code == 0
    result = run("launch-study", study_file(("[0.1, 0.2]", "[0.1, 0.4]")), *launch)
    check_refused(result, 'arms.grid.search."lr.peak".values', "[0.1, 0.2] -> [0.1, 0.4]", "--name")
    ledger = open_storage(storage_url).ledger
    assert len(ledger.cells(ledger.study("small").id)) == 4
    assert run("launch-study", study_file(("[0.1, 0.2]", "[0.1, 0.4]")), *launch, "--name", "other").exit_code == 0


@pytest.mark.parametrize("verb", ["status", "report", "stop", "resume", "retry", "delete", "worker"])
def test_an_unknown_study(study_file: Write, sqlite_url: str, verb: str) -> None:
    """Every verb names the studies that there are."""
    assert run("launch-study", study_file(), "--storage", sqlite_url, "--workers", "0").exit_code == 0
    check_refused(run(verb, "smal", "--storage", sqlite_url), "there is no study 'smal'", "there are: small")


def test_missing_images(study_file: Write, tmp_path: Path) -> None:
    """The launcher passes on what its workers say; the trials stay planned."""
    url = f"sqlite:///{tmp_path}/hpo.db"
    path = study_file(('{ kind = "digits", train_limit = 100 }', '{ kind = "cifar10" }'))
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "launch-study", path, "--storage", url, "--workers", "1"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HPO_DATA_DIR": str(tmp_path / "images")},
    )
    assert done.returncode == 2, done.stderr
    assert str(tmp_path / "images") in done.stderr
    assert "download = true" in done.stderr
    assert "Traceback" not in done.stderr
    ledger = create_storage(url).ledger
    assert {cell.state for cell in ledger.cells(ledger.study("small").id)} == {"planned"}
