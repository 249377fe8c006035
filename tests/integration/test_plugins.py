"""A policy of the user's own, added to a copy of the package exactly as CONTRIBUTING.md teaches."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hpo
from hpo.storage import open_storage

POLICY = '''
class Above(Spec):
    """Twice the strength where validation accuracy is above `threshold`."""

    kind: Literal["above"] = "above"
    threshold: float = 0.5
    """Share of images (0..1)."""

    def __call__(self, strength: float, observation: Observation) -> float:
        if observation.clock.epoch < 1 or observation.validation is None:
            return observation.base
        return observation.base * (2.0 if observation.validation.accuracy > self.threshold else 1.0)


'''
STUDY = """
name = "{name}"

[trial]
epochs = 4
batch_size = 32
data = {{ kind = "digits", validation = 0.2, train_limit = 300 }}
model = {{ kind = "mlp", hidden = [16] }}
optimizer = {{ kind = "sgd", momentum = 0.9 }}
lr = {{ kind = "constant", peak = 0.1 }}
regularizers.l2 = {{ kind = "l2", strength = 0.05, policy = {{ kind = "above" }} }}

[protocol]
share_prefixes = {share}

[arms.low]
trial.regularizers.l2.policy.threshold = 0.1

[arms.high]
trial.regularizers.l2.policy.threshold = 0.9999
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package with the policy in it."""
    shutil.copytree(Path(hpo.__file__).parent, tmp_path / "hpo", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "hpo" / "trainers" / "moving" / "policies.py"
    text, union = file.read_text(), re.compile(r"^Policy = Annotated\[Hold", re.MULTILINE)
    assert union.search(text)
    file.write_text(union.sub(POLICY.lstrip("\n") + "Policy = Annotated[Above | Hold", text))
    return tmp_path


def curves(package: Path, url: str, name: str, share: str) -> dict[str, list[tuple[float | None, float | None]]]:
    """Arm -> validation loss and strength after each epoch, of a study that the copy has run."""
    file = package / f"{name}.toml"
    file.write_text(STUDY.format(name=name, share=share))
    command = [sys.executable, "-P", "-m", "hpo", "launch-study", str(file), "--workers=1"]
    environment = os.environ | {"HPO_STORAGE": url, "PYTHONPATH": str(package)}
    done = subprocess.run(command, env=environment, cwd=package, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    storage = open_storage(url)
    row = storage.ledger.study(name)
    arms = {cell.id: cell.arm for cell in storage.ledger.cells(row.id)}
    found: dict[str, list[tuple[float | None, float | None]]] = {arm: [] for arm in arms.values()}
    for point in storage.ledger.curves(row.id):
        found[arms[point.cell_id]].append((point.metrics["validation_loss"], point.metrics["strength.l2"]))
    storage.close()
    return found


@pytest.mark.slow
def test_a_policy_that_looks_at_scores(package: Path, sqlite_url: str) -> None:
    """Two arms share the epochs before its first look, and no more: the curves are those of arms that share nothing."""
    apart = curves(package, sqlite_url, "apart", "false")
    assert [0.05, 0.1, 0.1, 0.1] == [strength for _, strength in apart["low"]]
    assert [0.05] * 4 == [strength for _, strength in apart["high"]]
    assert apart["low"] != apart["high"]
    shared = curves(package, sqlite_url, "shared", "true")
    assert apart == shared
    storage = open_storage(sqlite_url)
    taken_over = [cell.leader_epochs for cell in storage.ledger.cells(storage.ledger.study("shared").id)]
    assert [None, 1] == taken_over
    storage.close()
