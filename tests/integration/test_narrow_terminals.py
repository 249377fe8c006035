"""The verbs that read, where a person sees them: 40 columns, no colours, a pipe."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from rich.cells import cell_len

from benchmarks.large_study import NAME, fill, make_study
from hpo.service import begin_study
from hpo.storage import create_storage

ROOT = Path(__file__).parents[2]
READING = {
    "check": ["check", str(ROOT / "studies" / "quickstart.toml")],
    "status": ["status"],
    "report": ["report", NAME],
    "report --full": ["report", NAME, "--full"],
    "best": ["best", NAME],
    "nodes": ["nodes", "--all"],
}
WATCHING = {"status --watch": ["status", "--watch"]}
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HEADS = {
    "check": {"sampler", "pruner", "trials"},
    "status": {"phase", "done", "epochs", "best", "seeds"},
    "report": {"tried", "test", "difference"},
    "report --full": {"tried", "validation", "difference", "epochs"},
    "best": {"[trial]", "epochs"},
    "nodes": set(),
}
COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-9]|4[0-9]|9[0-7])[0-9;]*m")
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study of two arms with results, in an SQLite file."""
    url = f"sqlite:///{tmp_path_factory.mktemp('narrow')}/hpo.db"
    storage = create_storage(url)
    study = make_study(20, 3, 2)
    begin_study(storage, study)
    fill(storage, study)
    storage.close()
    return url


def environment(url: str, **more: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
    return ours | {"HPO_STORAGE": url, "TERM": "xterm-256color"} | more


@cache
def piped(verb: str, url: str, **more: str) -> str:
    """What comes out of a pipe."""
    command = [sys.executable, "-m", "hpo", *(READING | WATCHING)[verb]]
    done = subprocess.run(command, env=environment(url, **more), capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def on_terminal(verb: str, url: str, **more: str) -> str:
    """What a terminal is sent."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hpo", *(READING | WATCHING)[verb]]
    with subprocess.Popen(command, env=environment(url, **more), stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 65536):
                said += part
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert 0 == process.returncode
    return said.decode()


@pytest.mark.parametrize(("encoding", "curve"), [("utf-8", "▁█"), ("ascii", "_#")])
def test_watched_on_a_terminal(url: str, encoding: str, curve: str) -> None:
    """At a glance, with curves in what the stream can show; one that is done is not waited for."""
    said = CONTROL.sub("", on_terminal("status --watch", url, COLUMNS="40", PYTHONIOENCODING=encoding))
    assert f"the verdict: hpo report {NAME}" in said
    assert set(curve) <= set(said)
    assert max(map(cell_len, said.splitlines())) <= 40


def test_watched_in_a_pipe(url: str) -> None:
    """The table of `hpo status`, without curves."""
    said = piped("status --watch", url)
    assert {"phase", "seeds"} <= set(said.split())
    assert not set("▁▂▃▄▅▆▇█") & set(said)


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d[\d.,]*\d|\d", STYLE.sub("", text)))


@pytest.mark.parametrize("verb", READING)
def test_40_columns(verb: str, url: str) -> None:
    """No line is longer, no column is gone, every number is whole. The table that `best` prints is to be copied."""
    narrow = piped(verb, url, COLUMNS="40")
    assert "…" not in narrow
    assert numbers(piped(verb, url, COLUMNS="400")) <= numbers(narrow)
    assert set() == {head for head in HEADS[verb] if head not in narrow}
    if verb != "best":
        assert max(map(cell_len, narrow.splitlines())) <= 40


@pytest.mark.parametrize("verb", READING)
def test_a_pipe(verb: str, url: str) -> None:
    """It gets neither colours nor blanks that fill up lines, and no line is cut."""
    said = piped(verb, url)
    assert not STYLE.search(said)
    assert "…" not in said
    assert [] == [line for line in said.splitlines() if line != line.rstrip()]
    assert numbers(piped(verb, url, COLUMNS="400")) <= numbers(said)


@pytest.mark.parametrize("verb", ["status", "report"])
def test_no_color(verb: str, url: str) -> None:
    """A terminal gets colours, but none under NO_COLOR, and says the same."""
    coloured, plain = on_terminal(verb, url), on_terminal(verb, url, NO_COLOR="1")
    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
    assert STYLE.sub("", coloured) == STYLE.sub("", plain)


@pytest.mark.parametrize("verb", ["status", "report"])
def test_a_terminal_that_can_do_nothing(verb: str, url: str) -> None:
    """Nothing but text."""
    assert "\x1b" not in on_terminal(verb, url, TERM="dumb")
