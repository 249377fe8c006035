"""What a rehearsal finds of scripts that keep to the rules, and of those that break one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hpo.cli import cli
from hpo.rehearsal import rehearse
from hpo.study.file import parse
from hpo.study.rehearsed import Rehearsal

ROOT = Path(__file__).parents[2]
SCRIPT = """
import random, hpo
trial = hpo.trial()
random.seed({seed})
class Net:
    place = 1.0
    def state_dict(self): return {{"place": self.place}}
    def load_state_dict(self, state): self.place = state["place"]
net = Net()
for unit in trial.loop(keep={keep}):
    net.place *= 1 - 0.1 * random.random()
    trial.report(validation={report})
trial.finish(test={test})
"""
GOOD = {"seed": "trial.seed", "keep": "[net]", "report": "net.place", "test": "net.place"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a rehearsal allows itself is gone afterwards."""
    monkeypatch.setenv("HPO_PROGRAMS", "")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def rehearsed(folder: Path, **changes: str) -> dict[str, tuple[str, str]]:
    """What is found of the script with these changes: what it is about -> the outcome, and in words."""
    script = folder / "train.py"
    script.write_text(SCRIPT.format(**GOOD | changes))
    trial = {"program": f"{sys.executable} {script}", "length": {"units": 20}, "metric": {"name": "loss"}}
    study = parse({"name": "s", "trial": trial, "arms": {"a": {}}, "protocol": {"confirm": {"seeds": 2}}})
    found = rehearse(study, "a", "cpu")
    assert 1 <= found.units <= 3
    return {finding.about: (finding.outcome, finding.words) for finding in found.findings}


def test_a_good_one(tmp_path: Path) -> None:
    """Nothing to say against it."""
    found = rehearsed(tmp_path)
    assert {"good"} == {outcome for outcome, _ in found.values()}, found
    assert 8 == len(found)


@pytest.mark.parametrize(
    ("changes", "about", "outcome", "words"),
    [
        ({"seed": "7"}, "another seed gives other numbers", "bad", "they are the same"),
        ({"report": "0.0"}, "another seed gives other numbers", "bad", "from beginning to end: does it train at all"),
        ({"seed": "None"}, "the same seed gives the same numbers", "weak", "a trial can't be repeated"),
        ({"keep": "[]"}, "continues where it was stopped", "bad", "with other numbers: validation_loss after 2"),
        ({"keep": "[]"}, "continues where it was saved, if it is killed", "bad", "with other numbers"),
        (
            {"report": "{'loss': net.place}, test_loss=net.place"},
            "keeps test out of the search",
            "bad",
            "it reports test_loss in the search",
        ),
        ({"report": "float('nan')"}, "runs to its end", "bad", "validation_loss is nan"),
        ({"test": "{'error': 1.0}"}, "is scored on test in the confirm phase", "bad", "did not give test_loss"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, changes: dict[str, str], about: str, outcome: str, words: str) -> None:
    """With what it is, in words."""
    found = rehearsed(tmp_path, **changes)
    assert outcome == found[about][0], found
    assert words in found[about][1]


def test_one_that_cannot_be_saved(tmp_path: Path) -> None:
    """It begins anew, which is said."""
    (tmp_path / "train.sh").write_text('for unit in 1 2 3; do echo "val 0.$unit$1"; done\n')
    trial = {
        "program": f"sh {tmp_path / 'train.sh'} {{seed}}",
        "length": {"units": 3},
        "metric": {"name": "loss"},
        "reports": {"line": "val (?P<validation_loss>.+)"},
    }
    found = rehearse(parse({"name": "s", "trial": trial, "arms": {"a": {}}}), "a", "cpu")
    outcomes = {finding.about: finding.outcome for finding in found.findings}
    assert "weak" == outcomes["continues where it was stopped"]
    assert (None, True) == (found.checkpoint_bytes, found.is_fit)


def images() -> Rehearsal:
    """Of the study that the README begins with."""
    table: dict[str, Any] = {
        "epochs": 12,
        "batch_size": 32,
        "data": {"kind": "digits", "train_limit": 200},
        "model": {"kind": "mlp", "hidden": [16]},
        "optimizer": {"kind": "sgd"},
        "lr": {"kind": "constant", "peak": 0.1},
    }
    return rehearse(parse({"name": "s", "trial": table, "arms": {"a": {}}}), "a", "cpu")


def test_trials_on_images_too() -> None:
    """They are held to the same."""
    found = images()
    assert {"good"} == {finding.outcome for finding in found.findings}
    assert (found.checkpoint_bytes or 0) > 1000


def test_the_command(tmp_path: Path) -> None:
    """As a table, as JSON, and by exit code."""
    (tmp_path / "train.py").write_text(SCRIPT.format(**GOOD | {"seed": "7"}))
    file = tmp_path / "study.toml"
    file.write_text(f"""
name = "s"
[trial]
program = "{sys.executable} {tmp_path / "train.py"}"
length = {{ rounds = 20 }}
metric = {{ name = "loss" }}
[arms.a]
""")
    shown = CliRunner().invoke(cli, ["rehearse", str(file), "--device=cpu"])
    assert 1 == shown.exit_code, shown.output
    assert "s: a trial of a, 3 rounds long" in shown.output
    command = [sys.executable, "-m", "hpo", "rehearse", str(file), "--device=cpu", "--json"]
    ended = subprocess.run(command, env=os.environ, capture_output=True, text=True)
    found = json.loads(ended.stdout)
    assert (1, ["another seed gives other numbers"]) == (
        ended.returncode,
        [finding["about"] for finding in found["findings"] if finding["outcome"] == "bad"],
    )
    wrong = CliRunner().invoke(cli, ["rehearse", str(file), "--arm=b"])
    assert (2, True) == (wrong.exit_code, "there is no arm 'b'" in wrong.output)


@pytest.mark.parametrize(
    ("changes", "about", "words"),
    [
        (
            {"report": "{'accuracy': net.place}"},
            "runs to its end",
            'report loss, or set metric = { name = "accuracy", goal = … } in the study file; it reported val',
        ),
        ({"report": "1 / 0"}, "runs to its end", "train.py:12 in <module>: ZeroDivisionError: division by zero"),
        (
            {"keep": "[net] if not trial._begin else 1 / 0"},
            "continues where it was stopped",
            "train.py:10 in <module>: ZeroDivisionError",
        ),
    ],
)
def test_a_trial_that_raises_is_found(
    tmp_path: Path, sqlite_url: str, changes: dict[str, str], about: str, words: str
) -> None:
    """It is bad like any other, with what to do, and refused at the launch; all that was said is shown."""
    (tmp_path / "train.py").write_text(SCRIPT.format(**GOOD | changes))
    file = tmp_path / "study.toml"
    program = f"{sys.executable} {tmp_path / 'train.py'}"
    trial = f'program = "{program}"\nlength = {{ rounds = 20 }}\nmetric = {{ name = "loss" }}'
    file.write_text(f'name = "s"\n[trial]\n{trial}\n[arms.a]\n')
    shown = CliRunner().invoke(cli, ["rehearse", str(file), "--device=cpu"])
    assert (1, True) == (shown.exit_code, about in shown.stdout), shown.output
    assert "the trial raised: the program " in shown.stderr
    kept = Rehearsal.model_validate_json((tmp_path / "study.rehearsal.json").read_bytes())
    assert words in {finding.about: finding.words for finding in kept.of("bad")}[about]
    checked = CliRunner().invoke(cli, ["check", str(file)])
    assert ("of one worker such as" in checked.output, "bad thing" in checked.output) == (kept.units > 0, True)
    refused = CliRunner().invoke(cli, ["launch-study", str(file), "--workers=0", f"--storage={sqlite_url}"])
    assert (2, True) == (refused.exit_code, about in refused.stderr)


def launched(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """`hpo launch-study` of the study in the folder."""
    command = [sys.executable, "-m", "hpo", "launch-study", "study.toml", "--workers=1", "--device=cpu", *more]
    return subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True)


@pytest.mark.slow
def test_what_was_found_stays_with_the_study(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ignored seed is refused at the launch; overruled, it is named by the report, and decides nothing."""
    monkeypatch.setenv("HPO_STORAGE", sqlite_url)
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(**GOOD | {"seed": "7"}))
    (tmp_path / "study.toml").write_text(f"""
name = "s"
[trial]
program = "{sys.executable} train.py"
length = {{ rounds = 4 }}
metric = {{ name = "loss" }}
[protocol]
confirm = {{ seeds = 8 }}
[arms.a]
[arms.b]
""")
    assert 1 == CliRunner().invoke(cli, ["rehearse", "study.toml", "--device=cpu"]).exit_code
    checked = CliRunner().invoke(cli, ["check", "study.toml"])
    assert "minutes of one worker such as was rehearsed with a" in " ".join(checked.output.split())
    assert "1 bad thing found" in " ".join(checked.output.split())

    refused = launched(tmp_path)
    assert (2, True) == (refused.returncode, "another seed gives other numbers" in refused.stderr), refused.stderr
    assert "--despite-rehearsal" in refused.stderr
    overruled = launched(tmp_path, "--despite-rehearsal")
    assert 0 == overruled.returncode, overruled.stderr
    told = " ".join(overruled.stdout.split())
    assert "launched with --despite-rehearsal: another seed gives other numbers: they are the same" in told
    assert "a measured the same with all its 8 seeds" in told
    assert 0 == launched(tmp_path).returncode  # it is there, and goes on

    script.write_text(SCRIPT.format(**GOOD))
    mended = launched(tmp_path, "--name=mended")
    assert 0 == mended.returncode, mended.stderr
    assert "the program has changed since it was rehearsed; rehearse it again: hpo rehearse study.toml" in mended.stderr
    assert "despite" not in mended.stdout
    assert 0 == CliRunner().invoke(cli, ["rehearse", "study.toml", "--device=cpu"]).exit_code
    assert 0 == launched(tmp_path, "--name=again").returncode
    told = CliRunner().invoke(cli, ["report", "again", "--full"]).output
    assert "Rehearsed: a trial of a, 8 of 8 tests good." in " ".join(told.split())


def test_what_is_no_rehearsal(tmp_path: Path) -> None:
    """A file of that name that says something else is a mistake, told in one line."""
    file = tmp_path / "study.toml"
    file.write_text('name = "s"\ntrial = { program = "a", length = { r = 1 }, metric.name = "m" }\narms.a = {}\n')
    (tmp_path / "study.rehearsal.json").write_text("{")
    found = CliRunner().invoke(cli, ["check", str(file)])
    assert (2, True) == (found.exit_code, "study.rehearsal.json can't be read" in found.output), found.output
