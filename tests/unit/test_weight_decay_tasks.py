"""The tasks of the study on weight decay, and the decay that it writes itself; the study comes to a verdict in a test
of programs."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from hpo.trainers.images.regularizers import CautiousWeightDecay

FOLDER = Path(__file__).parents[2] / "studies" / "weight_decay_tasks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a module of that folder as its program does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", ["digits", "addition", "characters"])
def test_a_task_can_be_learned(module: Callable[[str], Any], name: str, large: bool) -> None:
    """Its parts share no example, and some steps on one batch lower the loss on it."""
    torch.manual_seed(0)
    task = module("tasks").TASKS[name](large)
    inputs, targets = (part[: min(task.batch, 8)] for part in task.train)
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=0.001)

    def loss() -> torch.Tensor:
        return cross_entropy(task.model(inputs).flatten(0, -2), targets.flatten())

    before = loss().item()
    for _ in range(5):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < before
    seen = [{tuple(one.flatten().tolist()) for one in inputs} for inputs, _ in (task.validation, task.test)]
    if name == "addition":
        seen.append({tuple(one.tolist()) for one in task.train[0]})
        assert sum(map(len, seen)) == len(set.union(*seen)) == (97 if large else 31) ** 2


def test_the_same_examples_are_held_out_whatever_the_seed(module: Callable[[str], Any]) -> None:
    tasks = module("tasks")
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(tasks.addition(False).validation[0])
    assert torch.equal(*found)


def test_cautious_decay_is_that_of_trials_on_images(module: Callable[[str], Any]) -> None:
    """Ten steps of AdamW on one matrix, decayed by either: the same weights, and not those of plain decay."""
    ours, theirs, plain = (torch.nn.Linear(5, 4, bias=False) for _ in range(3))
    for net in (theirs, plain):
        net.load_state_dict(ours.state_dict())
    by_program = torch.optim.AdamW(ours.parameters(), lr=0.1, weight_decay=0.5)
    on_images = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.0)
    plainly = torch.optim.AdamW(plain.parameters(), lr=0.1, weight_decay=0.5)
    regularizer = CautiousWeightDecay(strength=0.5, on="all").build(theirs, 0)
    assert regularizer.on_step is not None
    inputs, wanted = torch.randn(6, 5), torch.randn(6, 4)
    for _ in range(10):
        for net in (ours, theirs, plain):
            net.zero_grad()
            (net(inputs) - wanted).square().mean().backward()
        module("cautious").cautious_step(by_program)
        decay = regularizer.on_step(0.5, 0.1)
        on_images.step()
        decay()
        plainly.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)
    assert not torch.allclose(ours.weight, plain.weight, atol=1e-3)
    assert by_program.param_groups[0]["weight_decay"] == 0.5


def test_the_program_by_hand() -> None:
    """It trains the digits and scores them on test."""
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parents[1])}
    ended = subprocess.run([sys.executable, FOLDER / "train.py"], env=environment, capture_output=True, text=True)
    assert 0 == ended.returncode, ended.stderr
    said = ended.stdout.splitlines()
    assert [f"hpo {unit}:" for unit in range(1, 21)] == [" ".join(line.split()[:2]) for line in said[:20]]
    assert 0.85 < float(said[20].split("test_accuracy ")[1]) < 1.0, said
