"""How `hpo launch-study` ends, and what it refuses to begin: no failure looks like an answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli import cli
from hpo.report.toml import study_file
from hpo.storage import open_storage
from tests.integration.helpers import make_study

VALUES = {"search": {"lr.peak": {"values": [0.03, 0.05]}}}
CLAIM = """
[[claims]]
text = "bad is better"
greater = { arm = "bad", than = "good", metric = "validation_accuracy" }
"""
STEERED = {"data": {"steer": 0.1}}
"""With feedback that leaves validation alone, so that a claim on it is fair."""
RAISING = {"trial": {"gradient_norms": ["no.such.layer"]}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reports are written."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hpo(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"HPO_STORAGE": url})


def test_half_of_the_trials_fail(sqlite_url: str, folder: Path) -> None:
    """Exit code 1; in the progress, in the report before all else, and the last words: what, where, why, what to do."""
    arms = {"good": VALUES, "bad": VALUES | RAISING}
    file = folder / "half.toml"
    file.write_text(study_file(make_study(arms, "half", STEERED, attempts=1)) + CLAIM)
    ended = hpo(sqlite_url, "launch-study", str(file), "--workers", "1", "--device", "cpu")
    assert 1 == ended.exit_code, ended.output
    assert ended.stdout.startswith("INCOMPLETE: trials have failed")
    assert "INCOMPLETE: bad is better" in ended.stdout
    assert "bad search 0/2 failed 2" in ended.stderr
    *_, error, hint = ended.stderr.splitlines()
    assert re.fullmatch(r"error: 2 of 4 trials failed: \w+\.py:\d+ in \w+: .*no\.such\.layer.*", error)
    (logs,) = re.findall(r"^logs: (.*)$", ended.stderr, flags=re.MULTILINE)
    assert hint == (
        f"hint: logs: {logs}; fix the cause, then: hpo retry half, and give the same command again; if the study file "
        "was wrong: hpo delete half, then launch it again, or launch it under another name"
    )
    assert "no.such.layer" in (Path(logs) / "worker-0.log").read_text()
    for form in ("half.md", "half.html"):
        written = (folder / "hpo-reports" / "half" / form).read_text()
        assert "ncomplete" in written and "no.such.layer" in written.replace("\\_", "_").replace("\\", "")
    again = hpo(sqlite_url, "report", "half")
    assert again.stdout.startswith("INCOMPLETE: trials have failed")


def test_all_of_the_trials_fail(sqlite_url: str, folder: Path) -> None:
    """The study is given up after the first trials, once, with the cause as the last words; exit code 1."""
    file = folder / "all.toml"
    arms = {"bad": VALUES | RAISING, "worse": VALUES | RAISING}
    file.write_text(study_file(make_study(arms, "all")))
    ended = hpo(sqlite_url, "launch-study", str(file), "--workers", "1", "--device", "cpu")
    assert 1 == ended.exit_code, ended.output
    assert "starting again" not in ended.stderr
    *_, error, hint = ended.stderr.splitlines()
    assert re.fullmatch(
        r"error: all has failed: its first trials all failed: \w+\.py:\d+ in .*no\.such\.layer.*", error
    )
    assert "fix the cause, then: hpo retry all, and give the same command again" in hint
    assert "if the study file was wrong: hpo delete all, then launch it again" in hint
    status = " ".join(hpo(sqlite_url, "status", "all").stdout.split())
    assert "no trial had used up its attempts by then, so none is counted as failed" in status
    assert "fix the cause, then: hpo retry all; if the study file was wrong: hpo delete all, then" in status
    hpo(sqlite_url, "retry", "all")
    status = " ".join(hpo(sqlite_url, "status", "all").stdout.split())
    assert "no worker is alive; to go on: hpo worker all, or the command that launched it" in status


def test_a_stopped_study_stays_stopped(sqlite_url: str, folder: Path) -> None:
    """Launched again, also without workers, it says so and does nothing, until it is resumed."""
    file = folder / "s.toml"
    file.write_text(study_file(make_study(name="s")))
    assert 0 == hpo(sqlite_url, "launch-study", str(file), "--workers", "0").exit_code
    assert "s: stopped\n" == hpo(sqlite_url, "stop", "s").stderr
    for workers in ("0", "1"):
        refused = hpo(sqlite_url, "launch-study", str(file), "--workers", workers, "--device", "cpu")
        assert (2, "error: s is stopped\nhint: hpo resume s\n") == (refused.exit_code, refused.stderr)
    storage = open_storage(sqlite_url)
    assert "stopped" == storage.ledger.study("s").state
    assert "s: running\n" == hpo(sqlite_url, "resume", "s").stderr
    assert 0 == hpo(sqlite_url, "launch-study", str(file), "--workers", "0").exit_code
    storage.close()


def test_a_failed_study_waits_for_a_person(sqlite_url: str, folder: Path) -> None:
    """It is neither launched nor resumed; retry lets it go on, though no trial has used up its attempts."""
    file = folder / "s.toml"
    file.write_text(study_file(make_study(name="s")))
    assert 0 == hpo(sqlite_url, "launch-study", str(file), "--workers", "0").exit_code
    storage = open_storage(sqlite_url)
    row = storage.ledger.study("s")
    assert storage.ledger.fail_study(row.id, "its first trials all failed: net.py:3 in f: OSError: x")
    said = "s has failed: its first trials all failed: net.py:3 in f: OSError: x"
    for command in (("launch-study", str(file), "--workers", "0"), ("resume", "s")):
        refused = hpo(sqlite_url, *command)
        assert 2 == refused.exit_code
        expected = f"error: {said}\nhint: fix the cause, then: hpo retry s; if the study file was wrong: hpo delete s, "
        assert refused.stderr.startswith(expected)
    assert "s: failed\n" == hpo(sqlite_url, "stop", "s").stderr
    assert hpo(sqlite_url, "report", "s").stdout.startswith("INCOMPLETE")
    expected = "s goes on: none of its trials had used up its attempts when it was stopped early\n"
    assert f"{expected}to go on: hpo worker s\n" == hpo(sqlite_url, "retry", "s").stderr
    assert ("running", None) == (storage.ledger.study("s").state, storage.ledger.study("s").reason)
    storage.close()
