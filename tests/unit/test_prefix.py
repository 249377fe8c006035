"""Up to which epoch two trials are one, and that a checkpoint of one is then as good as the other's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hpo.errors import CheckpointError
from hpo.search.space import merge
from hpo.trainers.images.data import Splits
from hpo.trainers.images.prefix import Prefix
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from hpo.worker.prefix_plan import common_epochs
from tests.unit.digits import digits

DATA = {"kind": "digits", "validation": 100, "train_limit": 120}
BASE: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 40,
    "data": DATA,
    "model": {"kind": "mlp", "hidden": [8]},
    "optimizer": {"kind": "sgd", "momentum": 0.9},
    "lr": {"kind": "stages", "peak": 0.1, "factors": [1.0, 0.1], "epochs": [2, 2]},
    "regularizers": {
        "decay": {"kind": "l2", "strength": 1e-2, "policy": {"kind": "stages", "factors": [1.0, 1.0, 2.0, 0.0]}},
        "dropout": {"kind": "dropout", "strength": 0.2},
    },
}
STEPS = 3
DECAY = "regularizers.decay"


def trial(changes: dict[str, Any] | None = None) -> TrialSpec:
    """The base with `changes` laid over it, by dotted path."""
    table = BASE
    for path, value in (changes or {}).items():
        for part in reversed(path.split(".")):
            value = {part: value}
        table = merge(table, value)
    return TrialSpec.model_validate(table)


def prefixes(spec: TrialSpec, seed: int = 7) -> tuple[str, ...]:
    return tuple(Prefix(spec, seed, STEPS).epochs())


PLATEAU = {"patience": 1, "factor": 0.5}
LATER = {"kind": "follows_lr", "table": [[0.1, 1.0], [0.04, 3.0]]}
GAP = {"kind": "accuracy_gap", "raise_above": 0.05}
AGED = {"kind": "weight_decay"}
COMMON: list[tuple[dict[str, Any], dict[str, Any], int]] = [
    ({}, {}, 4),
    ({}, {f"{DECAY}.policy": {"kind": "hold"}}, 2),
    ({}, {f"{DECAY}.policy": {"kind": "stages", "factors": [1.0, 1.0, 2.0, 1.0]}}, 3),
    ({}, {f"{DECAY}.policy": {"kind": "replay", "strengths": [0.01, 0.01, 0.02, 0.5]}}, 3),
    ({}, {"lr": {"kind": "constant", "peak": 0.1}}, 2),
    ({}, {"epochs": 2}, 1),  # the strength's stages share a shorter trial
    ({f"{DECAY}.policy": {"kind": "hold"}}, {f"{DECAY}.policy": {"kind": "hold"}, "epochs": 3}, 3),
    ({}, {f"{DECAY}.strength": 2e-2}, 0),
    ({}, {f"{DECAY}.on": "all"}, 0),
    ({}, {f"{DECAY}.on": ["output.*"]}, 0),
    # Four epochs of three steps at a peak of 0.1: a timescale of 1 / 1.2 is a strength of 1.
    ({"regularizers.aged": AGED | {"timescale": 1 / 1.2}}, {"regularizers.aged": AGED | {"strength": 1.0}}, 4),
    ({"regularizers.aged": AGED | {"timescale": 0.5}}, {"regularizers.aged": AGED | {"timescale": 0.5}}, 4),
    ({"regularizers.aged": AGED | {"timescale": 0.5}}, {"regularizers.aged": AGED | {"timescale": 0.6}}, 0),
    ({}, {"optimizer.momentum": 0.8}, 0),
    ({}, {"regularizers.dropout.strength": 0.3}, 0),
    ({}, {"early_stopping": {"patience": 3}}, 0),
    ({"clip_norm": 1.0}, {"clip_norm": 1.0}, 4),
    ({"clip_norm": 1.0}, {}, 0),
    ({"plateau": PLATEAU}, {"plateau": PLATEAU}, 4),
    ({"plateau": PLATEAU}, {"plateau": PLATEAU, "lr.factors": [1.0, 0.2]}, 2),
    ({"plateau": PLATEAU}, {"plateau": PLATEAU | {"factor": 0.4}}, 0),
    ({"plateau": PLATEAU}, {}, 0),
    # By the schedule alone the two tables would be the same until it falls, but it may have been lowered before.
    ({f"{DECAY}.policy": LATER}, {f"{DECAY}.policy": LATER | {"table": [[0.1, 1.0], [0.05, 3.0]]}}, 4),
    (
        {"plateau": PLATEAU, f"{DECAY}.policy": LATER},
        {"plateau": PLATEAU, f"{DECAY}.policy": LATER | {"table": [[0.1, 1.0], [0.05, 3.0]]}},
        0,
    ),
    # What answers to the scores is the same only as a whole.
    ({f"{DECAY}.policy": GAP}, {f"{DECAY}.policy": GAP}, 4),
    ({f"{DECAY}.policy": GAP}, {f"{DECAY}.policy": GAP | {"raise_above": 0.06}}, 0),
    ({f"{DECAY}.policy": GAP}, {f"{DECAY}.policy": {"kind": "hold"}}, 0),
    ({f"{DECAY}.policy": GAP}, {f"{DECAY}.policy": GAP, "lr": {"kind": "constant", "peak": 0.1}}, 2),
]


@pytest.mark.parametrize(("one", "other", "epochs"), COMMON)
def test_common_epochs(one: dict[str, Any], other: dict[str, Any], epochs: int) -> None:
    """As far as learning rate, strengths and all that does not move are the same; never with another seed."""
    assert epochs == common_epochs(prefixes(trial(one)), prefixes(trial(other)))
    assert epochs == common_epochs(prefixes(trial(other)), prefixes(trial(one)))
    assert 0 == common_epochs(prefixes(trial(one)), prefixes(trial(other), seed=8))


@pytest.fixture(scope="module")
def splits() -> Splits:
    """120 training images."""
    return digits(DATA)


def train(run: Run, steps: int) -> Run:
    """`run` after so many further steps, every epoch measured."""
    for _ in range(steps):
        run.step()
        if run.clock.at_epoch_end:
            run.evaluate()
    return run


@pytest.mark.parametrize(("one", "other", "epochs"), [row for row in COMMON if row[2] > 0])
def test_continuing_anothers_checkpoint(
    one: dict[str, Any], other: dict[str, Any], epochs: int, splits: Splits
) -> None:
    """Bit for bit what the trial would have become by itself; an epoch later the checkpoint is refused."""
    shared, rest = epochs * STEPS, (trial(other).epochs - epochs) * STEPS
    alone = train(Run(trial(other), 7, splits), shared + rest)
    leader = train(Run(trial(one), 7, splits), shared)
    at_the_fork = leader.checkpoint()
    fork = Run(trial(other), 7, splits)
    fork.restore(at_the_fork)
    train(fork, rest)
    assert (alone.train, alone.validation) == (fork.train, fork.validation)
    for mine, theirs in zip(alone.model.parameters(), fork.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    if epochs < min(trial(one).epochs, trial(other).epochs):
        leader.restore(at_the_fork)
        train(leader, STEPS)
        with pytest.raises(CheckpointError, match="belongs to another trial"):
            Run(trial(other), 7, splits).restore(leader.checkpoint())
