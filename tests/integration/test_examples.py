"""The examples: their study files are valid, their scripts keep to the rules, and two of them are run to a report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.rehearsal import rehearse
from hpo.study.file import load

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(study.parent for study in ROOT.glob("examples/*/study.toml"))
SHORTER = {
    "awk": ["trial.length.epochs=2", "protocol.confirm.seeds=2"],
    "regression": ["trial.length.epochs=2", "protocol.confirm.seeds=2", "protocol.budget.trials=1"],
}
"""Those that are run, and the settings that make them short."""


def name(folder: Path) -> str:
    return folder.name


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python` is the one that runs the tests, and finds this project; what a rehearsal allows itself is gone later."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HPO_PROGRAMS", "")


def test_every_folder_is_an_example() -> None:
    """With a study file, and a line in the README."""
    folders = sorted(path for path in ROOT.glob("examples/*") if path.is_dir())
    assert folders == EXAMPLES
    assert {"awk", "characters", "digits", "ranks", "regression"} <= {folder.name for folder in folders}
    table = (ROOT / "examples" / "README.md").read_text()
    assert [] == [folder.name for folder in folders if f"| [{folder.name}]({folder.name}/" not in table]


# What a rehearsal finds of several ranks is tested with the programs: here each of its runs takes as long as this one.
def test_two_ranks_by_hand() -> None:
    """Started without a study, as the README says: both train one net, and rank 0 alone speaks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    ended = subprocess.run(command, cwd=ROOT / "examples" / "ranks", capture_output=True, text=True)
    assert 0 == ended.returncode, ended.stderr
    said = ended.stdout.splitlines()
    assert [f"hpo {epoch}:" for epoch in range(1, 11)] == [" ".join(line.split()[:2]) for line in said[:10]]
    assert float(said[10].split()[3].rstrip(",")) > 0.8, said


@pytest.mark.parametrize("folder", [each for each in EXAMPLES if each.name != "ranks"], ids=name)
@pytest.mark.slow
def test_it_keeps_to_the_rules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rehearsal finds nothing bad; what can be saved is good in all."""
    monkeypatch.chdir(folder)
    study = load(Path("study.toml"))
    assert study.claims
    found = rehearse(study, next(iter(study.arms)), "cpu")
    said = {finding.about: f"{finding.outcome}: {finding.words}" for finding in found.findings}
    assert found.is_fit, said
    weak = {finding.about for finding in found.findings if finding.outcome != "good"}
    can_be_saved = found.checkpoint_bytes is not None
    assert (set() if can_be_saved else {"continues where it was stopped"}) == weak, said


@pytest.mark.parametrize("arm", ["cautious_addition", "feedback_characters"])
@pytest.mark.slow
def test_the_program_of_a_study_keeps_to_the_rules(arm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of the study on weight decay, which is started from the top folder: it goes on exactly."""
    monkeypatch.chdir(ROOT)
    study = load(Path("studies/should_weight_decay_move.toml"), ["trial.length.parts=4"], profile="small")
    found = rehearse(study, arm, "cpu")
    assert {"good"} == {finding.outcome for finding in found.findings}, found.findings


@pytest.mark.parametrize("folder", [each for each in EXAMPLES if each.name in SHORTER], ids=name)
def test_it_runs_to_a_report(folder: Path, tmp_path: Path, sqlite_url: str) -> None:
    """In a copy of the folder, with few and short trials, by the command that the README names."""
    copy = shutil.copytree(folder, tmp_path / folder.name)
    command = [sys.executable, "-m", "hpo", "launch-study", "study.toml", "--workers=1", "--device=cpu"]
    ended = subprocess.run(
        [*command, *(f"--set={setting}" for setting in SHORTER[folder.name])],
        cwd=copy,
        env=os.environ | {"HPO_STORAGE": sqlite_url},
        capture_output=True,
        text=True,
    )
    assert 0 == ended.returncode, ended.stderr
    study = load(folder / "study.toml")
    assert study.claims[0].text in " ".join(ended.stdout.split())
    assert (copy / "hpo-reports" / study.name / f"{study.name}.html").is_file()
