"""A compiled net learns what the same net learns, and the log says what that costs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from hpo.errors import MachineError
from hpo.trainers.images.compilation import COMPILERS, compiled
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from tests.unit.digits import digits

DATA = {"kind": "digits", "validation": 100, "train_limit": 120}
TABLE = {
    "batch_size": 60,
    "data": DATA,
    "model": {"kind": "mlp", "hidden": [4]},
    "optimizer": {"kind": "sgd"},
    "lr": {"kind": "constant", "peak": 0.1},
    "epochs": 2,
}


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="torch.compile needs a C++ compiler")
def test_the_same_training() -> None:
    """Equal to rounding after an epoch; the checkpoint is that of the net itself, and goes on compiled."""
    splits = digits(DATA)
    eager, fast = (Run(TrialSpec.model_validate(TABLE | {"compile": asked}), 7, splits) for asked in (False, True))
    for run in (eager, fast):
        for _ in range(2):
            run.step()
    resumed = Run(TrialSpec.model_validate(TABLE | {"compile": True}), 7, splits)
    resumed.restore(fast.checkpoint())
    for run in (eager, fast, resumed):
        run.step()
    assert fast.score(splits.validation) == resumed.score(splits.validation)
    for one, other in zip(eager.model.parameters(), fast.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.fixture
def without_inductor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What decides when to compile is torch's own; the code that it makes is not, which takes seconds each time."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setenv("CXX", "none")
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()
    counters.clear()


def steps(caplog: pytest.LogCaptureFixture, count: int, **changes: Any) -> list[str]:
    """What the log says of compiling, of a trial of so many steps."""
    table = TABLE | {"compile": True} | changes
    caplog.clear()
    caplog.set_level("INFO")
    run = Run(TrialSpec.model_validate(table), 7, digits(DATA))
    for _ in range(count):
        run.step()
    return [record.message for record in caplog.records if record.message.startswith("compile = true: ")]


@pytest.mark.usefixtures("without_inductor")
def test_what_compiling_costs(caplog: pytest.LogCaptureFixture) -> None:
    """Seconds of the first step, once; what is there already costs nothing."""
    first, again = steps(caplog, 3), steps(caplog, 3)
    assert 1 == len(first) == len(again)
    assert re.fullmatch(r"compile = true: the first step, which compiled the network, took \d+\.\d seconds", first[0])
    assert "which reused the network that was compiled before" in again[0]


@pytest.mark.usefixtures("without_inductor")
def test_torch_gives_up(caplog: pytest.LogCaptureFixture) -> None:
    """Told once, of a trial in which a share that torch compiles in moves at every step; the next one is compiled."""
    moving = {"kind": "dropout", "strength": 0.05, "policy": {"kind": "ramp", "direction": "down"}}
    said = steps(caplog, 16, batch_size=10, regularizers={"dropout": moving})
    assert 2 == len(said)
    assert "torch has compiled the network in 8 steps" in said[1]
    assert "gives up: what changes from here on is trained uncompiled" in said[1]
    assert "which compiled the network" in steps(caplog, 1)[0]


@pytest.mark.usefixtures("without_inductor")
def test_many_nets_in_one_worker(caplog: pytest.LogCaptureFixture) -> None:
    """Each is compiled: torch's limit is one of the process, and a worker lives for many trials."""
    for width in range(4, 16):
        (said,) = steps(caplog, 1, model={"kind": "mlp", "hidden": [width]})
        assert "which compiled the network" in said


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker says what the machine lacks, before it trains."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MachineError, match=r"compile = true, and this machine has no C\+\+ compiler"):
        compiled(torch.nn.Linear(1, 1), torch.device("cpu"))
