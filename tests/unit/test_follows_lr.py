"""A strength that follows the learning rate refers to the highest one so far, in nets and in programs."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hpo.search.space import merge
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from hpo.trainers.program.spec import ProgramSpec
from hpo.trainers.program.values import Values
from tests.unit.digits import digits

SOURCE = {"kind": "digits", "validation": 100, "train_limit": 60}
FOLLOWS = {"kind": "follows_lr", "power": 1.0, "limit": 1e6}
WARM_UP = {"kind": "warmup", "of": {"kind": "cosine", "peak": 0.1, "per": "step"}, "epochs": 2}


def trial(**changes: Any) -> TrialSpec:
    """Six epochs of three steps, the learning rate warmed up for two of them."""
    table: dict[str, Any] = {
        "epochs": 6,
        "batch_size": 20,
        "data": SOURCE,
        "model": {"kind": "mlp", "hidden": [8]},
        "optimizer": {"kind": "sgd"},
        "lr": WARM_UP,
        "regularizers": {"l2": {"kind": "l2", "strength": 1e-3, "policy": FOLLOWS}},
    }
    return TrialSpec.model_validate(merge(table, changes))


@pytest.mark.parametrize("plateau", [None, {"patience": 1, "factor": 0.5, "min_delta": 10.0}])
@pytest.mark.parametrize("resumed", [False, True])
def test_in_a_net(plateau: dict[str, Any] | None, resumed: bool) -> None:
    """At every step strength x highest rate so far / rate; a plateau lowers the rate, not the highest before it."""
    spec, splits = trial(**({"plateau": plateau} if plateau else {})), digits(SOURCE)
    run, highest, factors = Run(spec, 7, splits), 0.0, []
    while not run.complete:
        if resumed:
            kept, run = run.checkpoint(), Run(spec, 7, splits)
            run.restore(kept)
        run.step()
        highest = max(highest, run._lr)
        factors.append(run._strengths["l2"] / 1e-3)
        assert pytest.approx(highest / run._lr if run._lr else 1.0) == factors[-1]
        if run.clock.at_epoch_end:
            run.evaluate()
    assert [1.0] * 4 == factors[:4]
    assert 2 < factors[-1]


def values(units: int) -> Values:
    """Those of a program whose strength follows a learning rate that is warmed up for two units."""
    table = {
        "program": "true",
        "length": {"epochs": units},
        "metric": {"name": "loss", "goal": "minimize"},
        "values": {"lr": WARM_UP, "decay": {"strength": 1e-3, "policy": FOLLOWS}},
    }
    return Values(ProgramSpec.model_validate(table))


@pytest.mark.parametrize("units", [6, 3000, 2_000_000])
def test_in_a_program(units: int) -> None:
    """Likewise, in whatever order the moments are asked for; the highest rate of a very long trial is found nearly."""
    moments = [0.0, 0.01, 0.3, 1.0, 1.2, 2.0, 2.5, *(units * part / 10 for part in range(3, 10))]
    found, highest = {moment: values(units).at(moment) for moment in moments}, 0.0
    for part in range(units if units <= 6 else 0):
        highest = max(highest, *(values(units).at(part + hundredth / 100)["lr"] for hundredth in range(100)))
    for moment, given in found.items():
        if moment <= 1.2:
            assert 1e-3 == given["decay"], "nothing has fallen yet"
        elif moment >= 2.5:
            peak = highest if units <= 6 else 0.1
            assert pytest.approx(1e-3 * peak / given["lr"], rel=1e-3) == given["decay"]
    asked = values(units)
    random.Random(1).shuffle(moments)
    assert found == {moment: asked.at(moment) for moment in moments}
