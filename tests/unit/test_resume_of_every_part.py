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

from hpo.search.space import merge
from hpo.trainers.images.data import Splits, split
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.loop import Decision, Ended, Outcome, fit
from hpo.trainers.images.models import Model
from hpo.trainers.images.optimizers import Optimizer
from hpo.trainers.images.regularizers import RegularizerSpec
from hpo.trainers.images.trial import TrialSpec
from hpo.trainers.moving.policies import Policy
from hpo.trainers.moving.schedules import Schedule
from tests.unit.digits import enlarged

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
    "model": (
        Model,
        [
            {"kind": "mlp", "hidden": [12, 8], "batch_norm": True},
            {"kind": "cnn", "channels": [4, 4, 4], "init": {"kind": "truncated_normal"}},
            {"kind": "resnet", "depth": 8},
            {"kind": "mobilenet", "other_blocks": [4, 5]},
            {"kind": "custom", "target": "tests.unit.custom_models:net", "args": {"sizes": [12]}},
        ],
    ),
    "optimizer": (
        Optimizer,
        [
            {"kind": "sgd", "momentum": 0.9, "nesterov": True},
            {"kind": "adam"},
            {"kind": "adamw"},
            {"kind": "rmsprop", "momentum": 0.5},
        ],
    ),
    "lr": (
        Schedule,
        [
            {"kind": "constant", "peak": 0.05},
            {"kind": "cosine", "peak": 0.05, "per": "step"},
            {"kind": "exponential", "peak": 0.05, "factor": 0.95, "per": "step"},
            {"kind": "linear", "peak": 0.05, "floor": 0.01, "steps": 15},
            {"kind": "stages", "peak": 0.05, "factors": [1.0, 0.3, 0.1], "steps": [9, 9, 9]},
            {"kind": "restarts", "of": {"kind": "cosine", "peak": 0.05, "per": "step"}, "epochs": [1, 2]},
            {"kind": "warmup", "of": {"kind": "cosine", "peak": 0.05, "per": "step"}, "steps": 10},
        ],
    ),
    "regularizers.part": (
        RegularizerSpec,
        [
            {"kind": "cautious_weight_decay", "strength": 1e-2},
            {"kind": "weight_decay", "strength": 0.1},
            {"kind": "weight_decay", "timescale": 0.5, "on": ["*.weight"]},
            {"kind": "l2", "strength": 0.1, "on": "all"},
            {"kind": "l1", "strength": 0.01},
            {"kind": "l_half", "strength": 0.001},
            {"kind": "tikhonov", "strength": 0.01},
            {"kind": "proximal_l1", "strength": 0.1},
            {"kind": "proximal_l_half", "strength": 0.01},
            {"kind": "dropout", "strength": 0.3},
            {"kind": "input_noise", "strength": 0.3},
            {"kind": "label_smoothing", "strength": 0.1},
            {"kind": "batch_size", "strength": 1.0, "policy": {"kind": "stages", "factors": [1.0, 3.0, 2.0]}},
            {"kind": "sparse_gradient", "strength": 0.5, "policy": {"kind": "stages", "factors": [0.0, 1.0, 0.6]}},
        ],
    ),
    "regularizers.l2.policy": (
        Policy,
        [
            {"kind": "hold"},
            {"kind": "ramp", "direction": "down", "shape": "linear"},
            {"kind": "ramp", "direction": "up", "shape": "steps", "levels": 5},
            {"kind": "stages", "factors": [3.0, 2.0, 1.0, 0.0]},
            {"kind": "follows_lr", "power": 1.0},
            {"kind": "follows_lr", "table": [[0.04, 2.0], [0.01, 8.0]]},
            {"kind": "accuracy_gap", "raise_above": 0.01, "lower_below": 0.0},
            {"kind": "loss_gap", "raise_above": 0.01, "lower_below": 0.0, "every": {"steps": 2}},
            {"kind": "gap", "of": "validation_loss", "minus": "train_loss", "raise_above": 0.01, "lower_below": 0.0},
            {"kind": "replay", "strengths": [0.1, 0.0, 0.02]},
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
    data = TrialSpec.model_validate(BASE).data
    return split(data.load(), data, with_test=True, device=torch.device("cpu"))


@pytest.fixture(autouse=True)
def own_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own net may be imported."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "tests.unit.custom_models")


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
    if sample["kind"] == "mobilenet":
        splits = enlarged(splits)
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
