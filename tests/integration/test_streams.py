"""Where what a verb says goes: readers that leave, disks that are full, encodings that lack a character."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.large_study import NAME, make_study
from hpo.cli import main
from hpo.cli.terminal import display, say
from hpo.service import begin_study
from hpo.storage import create_storage
from tests.machine import lacking, program, require

UNENCODABLE = "Größe → λ ± \u202e"


@pytest.fixture(scope="module")
def planned_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study of two arms of which nothing has been run, in an SQLite file."""
    url = f"sqlite:///{tmp_path_factory.mktemp('streams')}/hpo.db"
    storage = create_storage(url)
    begin_study(storage, make_study(20, 3, 2))
    storage.close()
    return url


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command in this process, with stdout and stderr as they are; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["hpo", *arguments])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which the command sets
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_reader_that_leaves(monkeypatch: pytest.MonkeyPatch, planned_url: str, tmp_path: Path) -> None:
    """`hpo report STUDY -o DIR | head`: the rest of the work is done, and nothing is said of it."""
    reading, writing = os.pipe()
    os.close(reading)
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with os.fdopen(writing, "w") as left:
        monkeypatch.setattr(sys, "stdout", left)
        monkeypatch.setattr(sys, "stderr", said)
        code = run(monkeypatch, "report", NAME, "--storage", planned_url, "--no-publish", "-o", str(tmp_path))
    assert 0 == code
    assert (tmp_path / f"{NAME}.html").exists()
    said.seek(0)
    assert [f"wrote {tmp_path}/{NAME}.html and "] == [line[: line.index(" and ") + 5] for line in said]


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["report", NAME, "--format", "markdown"]])
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, planned_url: str, arguments: list[str]) -> None:
    """`hpo status > FILE`: it is said, with exit code 1; and closing the stream does not fail once more."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", said)
        assert 1 == run(monkeypatch, *arguments, "--storage", planned_url)
    said.seek(0)
    assert "error: /dev/full: No space left on device\n" == said.read()


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("ascii", "Gr??e ? ? ? ?"), ("latin-1", "Größe ? ? ± ?"), ("utf-8", "Größe → λ ± �")],
)
def test_what_an_encoding_lacks(monkeypatch: pytest.MonkeyPatch, encoding: str, expected: str) -> None:
    """It comes out as `?`, of texts and of tables, and no verb fails for it."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    for name, stream in zip(("stdout", "stderr"), streams, strict=True):
        monkeypatch.setattr(sys, name, stream)
    assert 0 == run(monkeypatch, "--version")
    say(UNENCODABLE)
    display(UNENCODABLE)
    say(UNENCODABLE, err=True)
    for stream, times in zip(streams, (2, 1), strict=True):
        stream.seek(0)
        assert [f"{expected}\n"] * times == [line for line in stream if not line.startswith("hpo, ")]


def test_a_report_under_latin1(planned_url: str, tmp_path: Path) -> None:
    """The command itself, in a locale of that encoding."""
    require("localedef", packages="locales", root=False)
    locale = tmp_path / "de_DE.ISO-8859-1"
    subprocess.run([program("localedef"), "-i", "de_DE", "-f", "ISO-8859-1", locale], check=False)
    if not locale.is_dir():
        lacking("no source of the locale de_DE: apt-get install locales")
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "report", NAME],
        env=os.environ | {"LOCPATH": str(tmp_path), "LC_ALL": locale.name, "HPO_STORAGE": planned_url},
        capture_output=True,
        check=False,
    )
    assert (0, b"") == (done.returncode, done.stderr)
    assert "    ?" in done.stdout.decode("latin-1")  # a dash, where there is no number yet
