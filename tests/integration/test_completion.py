"""What a shell completes: names from the storage, and nothing at all where it is away, locked, or none."""

from __future__ import annotations

import os
import shlex
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from sqlalchemy import text, update

from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import Storage, open_storage, tables
from tests.integration.helpers import make_study

ARMS = {"low": {}, "lower": {}, "high": {}}
SECRET = "s3cret"


@pytest.fixture
def storage(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """On either database, with a study `digits` of three arms; named by HPO_STORAGE."""
    monkeypatch.setenv("HPO_STORAGE", storage_url)
    opened = open_storage(storage_url)
    begin_study(opened, make_study(ARMS))
    yield opened
    opened.close()


def completed(*words: str) -> list[str]:
    """What stands for the last word, in this process."""
    *before, last = words
    found = BashComplete(cli, {}, "hpo", "_HPO_COMPLETE").get_completions(before, last)
    return [item.value for item in found]


def at_tab(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a shell calls it."""
    asked = {"_HPO_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("hpo", *words)), "COMP_CWORD": str(len(words))}
    command = [sys.executable, "-m", "hpo"]
    return subprocess.run(
        command, env=os.environ | asked | environment, capture_output=True, text=True, timeout=60, check=False
    )


def verbs(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """All that take studies."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, *path, name)
        elif {"study", "studies"} & {parameter.name for parameter in command.params}:
            yield (*path, name)


def test_every_verb_completes_studies(storage: Storage) -> None:
    """Those whose names begin so."""
    found = list(verbs(cli))
    assert {("report",), ("delete",), ("worker",), ("start-workers", "slurm")} <= set(found)
    for verb in found:
        assert ["digits"] == completed(*verb, "di"), verb
        assert [] == completed(*verb, "do"), verb
    assert ["digits"] == completed("worker", "other", "")


@pytest.mark.parametrize("verb", ["best", "fetch"])
def test_arms(storage: Storage, verb: str) -> None:
    """Those of the study that is named, wherever it stands."""
    assert ["low", "lower"] == completed(verb, "digits", "--arm", "lo")
    assert ["high"] == completed(verb, "digits", "--arm", "h")
    assert [] == completed(verb, "other", "--arm", "lo")
    assert [] == completed(verb, "--arm", "lo")
    url = storage.url.render_as_string(hide_password=False)
    assert ["low", "lower"] == completed(verb, "--storage", url, "digits", "--arm", "lo")


@pytest.mark.parametrize("spec", ["", "[]", '{"arms": 5}', '{"arms": ["low\\u001b[2J", "a b", 7]}'])
def test_a_row_that_somebody_else_wrote(storage: Storage, spec: str) -> None:
    """Only what can be a name is shown."""
    with storage.engine.begin() as connection:
        connection.execute(update(tables.study).values(spec=spec))
    assert [] == completed("best", "digits", "--arm", "")
    with storage.engine.begin() as connection:
        connection.execute(update(tables.study).values(name="x\x1b]52;c;ZXZpbA==\x07"))
    assert [] == completed("report", "")


def test_the_command_itself(sqlite_url: str) -> None:
    """As a shell calls it, a line for each."""
    opened = open_storage(sqlite_url)
    begin_study(opened, make_study(ARMS))
    opened.close()
    done = at_tab("report", "", HPO_STORAGE=sqlite_url)
    assert (0, "plain,digits\n", "") == (done.returncode, done.stdout, done.stderr)


def test_a_shell_takes_what_the_readme_says() -> None:
    """The line for bash, as it stands there."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    [line] = [line for line in readme.splitlines() if line.startswith("eval ")]
    script = f"hpo() {{ {shlex.quote(sys.executable)} -m hpo; }}\n{line}\ncomplete -p hpo"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "complete -o nosort -F _hpo_completion hpo\n" == done.stdout, done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///nowhere/hpo.db",
        "sqlite:///none.db",
        "sqlite:///text.db",
        f"postgresql://me:{SECRET}@127.0.0.1:1/studies",
        f"postgresql+psycopg2://me:{SECRET}@[/x",
        "what is this",
        "",
    ],
)
@pytest.mark.parametrize("given", ["option", "environment"])
def test_nothing_is_said_where_there_is_none(
    url: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error, no warning, no password, no file that was not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("no database")
    words = ["report", f"--storage={url.replace(' ', '_')}", ""] if given == "option" else ["report", ""]
    environment = {"HPO_STORAGE": url} if given == "environment" else {}
    done = at_tab(*words, **environment)
    assert (0, "", "") == (done.returncode, done.stdout.strip(), done.stderr)
    assert ["text.db"] == [path.name for path in tmp_path.iterdir()]


def test_a_server_that_does_not_answer() -> None:
    """It takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://me:{SECRET}@127.0.0.1:{server.getsockname()[1]}/studies?connect_timeout=600"
        done = at_tab("report", "", HPO_STORAGE=url)
    assert (0, "", "") == (done.returncode, done.stdout.strip(), done.stderr)


def test_a_table_that_is_locked(postgres_url: str) -> None:
    """A migration may hold it for long."""
    opened = open_storage(postgres_url)
    with opened.engine.begin() as connection:
        connection.execute(text("lock table hpo_study in access exclusive mode"))
        done = at_tab("report", "", HPO_STORAGE=postgres_url)
    opened.close()
    assert (0, "", "") == (done.returncode, done.stdout.strip(), done.stderr)


def test_a_file_that_is_locked(sqlite_url: str) -> None:
    """Where readers have to wait too."""
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    holder.execute("pragma locking_mode = exclusive")
    holder.execute("begin exclusive")
    done = at_tab("report", "", HPO_STORAGE=sqlite_url)
    holder.close()
    assert (0, "", "") == (done.returncode, done.stdout.strip(), done.stderr)
