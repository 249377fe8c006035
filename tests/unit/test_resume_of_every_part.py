"""Every kind of every part of a trial, interrupted at a random step of a random epoch, ends as if it had not been.

A new kind has to be added to the samples here; the first test fails until it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from hpo.space import merge
from hpo.train.clock import Evaluation
from hpo.train.data import Splits, split
from hpo.train.loop import Decision, Ended, Outcome, fit
from hpo.train.models import Model
from hpo.train.optimizers import Optimizer
from hpo.train.policies import Policy
from hpo.train.regularizers import RegularizerSpec
from hpo.train.schedules import Schedule
from hpo.train.trial import TrialSpec

BASE: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 16,
    "data": {"kind": "digits", "validation": 0.2, "train_limit": 120},
    "model": {"kind": "mlp", "hidden": [12]},
    "optimizer": {"kind": "sgd", "momentum": 0.9},
    "lr": {"kind": "cosine", "peak": 0.05},
    "regularizers": {"dropout": {"kind": "dropout", "strength": 0.2}, "l2": {"kind": "l2", "strength": 1e-2}},
    "gradient_norms": ["output.weight"],
}
PARTS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "model": (Model, [{"kind": "mlp", "hidden": [12, 8], "batch_norm": True}, {"kind": "cnn", "channels": [4, 4, 4]}]),
    "optimizer": (Optimizer, [{"kind": "sgd", "momentum": 0.9, "nesterov": True}, {"kind": "adamw"}]),
    "lr": (
        Schedule,
        [
            {"kind": "constant", "peak": 0.05},
            {"kind": "cosine", "peak": 0.05, "per": "step"},
            {"kind": "stages", "peak": 0.05, "factors": [1.0, 0.3, 0.1], "steps": [9, 9, 9]},
        ],
    ),
    "regularizers.part": (
        RegularizerSpec,
        [
            {"kind": "weight_decay", "strength": 0.1},
            {"kind": "l2", "strength": 0.1, "on": "all"},
            {"kind": "dropout", "strength": 0.3},
        ],
    ),
    "regularizers.l2.policy": (
        Policy,
        [
            {"kind": "hold"},
            {"kind": "ramp", "direction": "down", "shape": "linear"},
            {"kind": "stages", "factors": [3.0, 2.0, 1.0, 0.0]},
            {"kind": "follows_lr", "power": 1.0},
            {"kind": "accuracy_gap", "raise_above": 0.01, "lower_below": 0.0},
        ],
    ),
}
SAMPLES = [(path, sample) for path, (_, samples) in PARTS.items() for sample in samples]


@pytest.mark.parametrize("path", PARTS)
def test_every_kind_is_sampled(path: str) -> None:
    """The samples are those of the union, none left out."""
    union, samples = PARTS[path]
    members = get_args(get_args(union)[0]) or (get_args(union)[0],)
    assert {member.model_fields["kind"].default for member in members} == {sample["kind"] for sample in samples}


@pytest.fixture(scope="module")
def splits() -> Splits:
    """Digits, with a test set, on the CPU."""
    torch.set_num_threads(1)
    data = TrialSpec.model_validate(BASE).data
    return split(data.load(), data, with_test=True, device=torch.device("cpu"))


def trained(
    trial: TrialSpec, splits: Splits, stop: Callable[[], bool] = lambda: False, resume: bytes | None = None
) -> tuple[list[Evaluation], Outcome]:
    """The evaluations without their times, and the outcome."""
    seen: list[Evaluation] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        seen.append(replace(evaluation, seconds=0.0, images_per_second=0.0))
        return Decision.CONTINUE

    return seen, fit(trial, 11, splits, report, resume=resume, interrupted=stop)


@pytest.mark.parametrize(("path", "sample"), SAMPLES, ids=[f"{path} {sample['kind']}" for path, sample in SAMPLES])
def test_interrupted_anywhere(path: str, sample: dict[str, Any], splits: Splits) -> None:
    """The curve and the final scores are those of the uninterrupted trial, bit for bit."""
    nested: dict[str, Any] = sample
    for key in reversed(path.split(".")):
        nested = {key: nested}
    trial = TrialSpec.model_validate(merge(BASE, nested))
    curve, outcome = trained(trial, splits)
    dice = random.Random(f"{path} {sample}")
    resumed: list[Evaluation] = []
    checkpoint = None
    while True:
        steps = iter(range(dice.randint(0, 12)))
        seen, ended = trained(trial, splits, lambda steps=steps: next(steps, None) is None, checkpoint)  # type: ignore[misc]
        resumed += seen
        if ended.ended is not Ended.INTERRUPTED:
            break
        assert ended.checkpoint is not None
        checkpoint = ended.checkpoint
        torch.manual_seed(dice.randint(0, 10**6))  # what another trial would leave behind
    assert curve == resumed
    assert outcome == ended
