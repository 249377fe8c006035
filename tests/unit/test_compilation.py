"""A compiled net learns what the same net learns."""

from __future__ import annotations

import shutil

import pytest
import torch

from hpo.errors import MachineError
from hpo.trainers.images.compilation import COMPILERS, compiled
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from tests.unit.digits import digits

DATA = {"kind": "digits", "validation": 100, "train_limit": 120}


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="torch.compile needs a C++ compiler")
def test_the_same_training() -> None:
    """Equal to rounding after an epoch; the checkpoint is that of the net itself, and goes on compiled."""
    splits = digits(DATA)
    table = {
        "epochs": 2,
        "batch_size": 60,
        "data": DATA,
        "model": {"kind": "mlp", "hidden": [4]},
        "optimizer": {"kind": "sgd"},
        "lr": {"kind": "constant", "peak": 0.1},
    }
    eager, fast = (Run(TrialSpec.model_validate(table | {"compile": asked}), 7, splits) for asked in (False, True))
    for run in (eager, fast):
        for _ in range(2):
            run.step()
    resumed = Run(TrialSpec.model_validate(table | {"compile": True}), 7, splits)
    resumed.restore(fast.checkpoint())
    for run in (eager, fast, resumed):
        run.step()
    assert fast.score(splits.validation) == resumed.score(splits.validation)
    for one, other in zip(eager.model.parameters(), fast.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker says what the machine lacks, before it trains."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MachineError, match=r"compile = true, and this machine has no C\+\+ compiler"):
        compiled(torch.nn.Linear(1, 1), torch.device("cpu"))
