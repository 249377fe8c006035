"""Texts of others on a terminal: a file, a worker, an error that write to the clipboard, clear, or read backwards.

Everything that a verb shows goes through one place, so all verbs are run under one terminal.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import update

from hpo.report.figures import figures
from hpo.report.render import folder
from hpo.report.render.context import context
from hpo.service import begin_study, findings
from hpo.storage import create_storage, tables
from hpo.study.file import load
from hpo.words.visible import visible

HOSTILE = (
    "\x1b]52;c;ZXZpbA==\x07 \x1b[2J \x1b[31m \u202etxet \u200b \x9b2J [bold]b[/bold] <b>b</b> [l](http://x) \x1b[2J"
)
WRITTEN = HOSTILE.replace("\x1b", "\\u001b").replace("\x07", "\\u0007").replace("\x9b", "\\u009b")
STUDY = f"""
name = "hostile"
title = "title {WRITTEN}"
[trial]
epochs = 2
batch_size = 32
data = {{ kind = "digits", train_limit = 100 }}
model = {{ kind = "custom", target = "nets:Net", args = {{ kind = "a" }} }}
optimizer = {{ kind = "sgd" }}
lr = {{ kind = "constant", peak = 0.1 }}
[arms.grid]
search."model.args.kind" = {{ values = ["a", "value {WRITTEN}"] }}
[arms.other]
search."model.args.kind" = {{ values = ["a", "=value {WRITTEN}"] }}
[[claims]]
text = "claim {WRITTEN}"
greater = {{ arm = "other", than = "grid", metric = "validation_accuracy" }}
"""
VERBS = """
import json, sys
from hpo.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["hpo", *arguments]
    try:
        main()
    except SystemExit as ended:
        print("exit code", ended.code, flush=True)
"""
RICHS_OWN = re.compile(r"\x1b\[[\d;]*m")
"""Colours, which rich puts around texts."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A storage that somebody else has filled: the study, a worker with a trial, one that failed, others."""
    (tmp_path / "study.toml").write_text(STUDY)
    url = f"sqlite:///{tmp_path}/hpo.db"
    storage = create_storage(url)
    begin_study(storage, load(tmp_path / "study.toml"))
    environment = {"device": f"device {HOSTILE}", "commit": f"commit {HOSTILE}", "gpu": f"gpu {HOSTILE}"}
    storage.ledger.register("w1", f"host {HOSTILE}", 7, f"device {HOSTILE}", environment)
    assert storage.ledger.claim("w1", 600.0) is not None
    cell = tables.cell
    done = {"state": "done", "ended": "finished", "score": 0.5, "metrics": '{"validation_accuracy": 0.5}', "epochs": 2}
    error = f'Traceback (most recent call last):\n  File "a", line 1, in f\nValueError: error {HOSTILE}'
    failed = {"state": "failed", "error": error, "reason": f"error {HOSTILE}"}
    with storage.engine.begin() as connection:
        connection.execute(update(cell).where(cell.c.state == "planned").values(done))
        connection.execute(update(cell).where(cell.c.arm == "other", cell.c.slot == 0).values(failed))
    storage.close()
    return url


def under_a_terminal(verbs: Sequence[Sequence[str]], folder: Path, url: str) -> str:
    """Everything that comes out when the command is run so, one after the other."""
    terminal, end = os.openpty()
    environment = os.environ | {"HPO_STORAGE": url, "TERM": "xterm-256color", "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-c", VERBS, json.dumps(verbs)]
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end, cwd=folder, env=environment):
        os.close(end)
        said = b""
        while True:
            try:
                said += os.read(terminal, 65536)
            except OSError:  # the last process has closed the other end
                break
    os.close(terminal)
    return said.decode()


def test_no_verb_does_what_a_text_says(url: str, tmp_path: Path) -> None:
    """Each text is shown, every character that would act as another one."""
    path = f"path {HOSTILE}".replace("/", "")
    verbs = [
        ["check", "study.toml"],
        ["check", path],
        ["launch-study", "study.toml", "--set", f"title={HOSTILE}", "--workers=0"],
        ["status"],
        ["status", HOSTILE],
        ["status", "--json"],
        ["nodes"],
        ["nodes", "--json"],
        ["report", "hostile"],
        ["report", "hostile", "--format", "markdown"],
        ["report", "hostile", "-o", "out", "--no-publish"],
        ["delete", HOSTILE],
        ["worker", "hostile", "--device", HOSTILE],
    ]
    said = under_a_terminal(verbs, tmp_path, url)
    assert len(verbs) == said.count("exit code"), said
    text = RICHS_OWN.sub("", said).replace("\r\n", "\n")
    assert visible(text) == text
    for what in ("title", "claim", "value", "host", "device", "commit", "error", "path"):
        assert f"{what} ␛]52;c;ZXZpbA==" in text, what
    for markup in ("[bold]b[/bold]", "<b>b</b>", "[l](http://x)"):
        assert markup in text
    assert "Traceback" not in text


def test_no_file_does_what_a_text_says(url: str, tmp_path: Path) -> None:
    """Page, Markdown, study file, tables and figures hold no character that acts; the study file reads back."""
    storage = create_storage(url)
    found = findings(storage, "hostile")
    storage.close()
    study, cells, report = found.study, found.cells, found.report
    drawn = [figure for figure in figures(study, cells, [], report) if figure.id == "search-space"]
    where = context(study, found.row, cells, found.workers)
    paths = folder.write(tmp_path / "out", study, cells, [], report, drawn, where)
    texts = {path: path.read_text(encoding="utf-8") for path in paths if path.suffix != ".png"}
    for path, text in texts.items():
        assert visible(text.replace("\r\n", "\n")) == text.replace("\r\n", "\n"), path
    assert {".html", ".md", ".csv", ".svg"} == {path.suffix for path, text in texts.items() if "␛" in text}
    assert load(next(path for path in paths if path.suffix == ".toml")) == found.study
