"""What feedback looks at: train measured as validation is, on a fixed sample, and only where somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from hpo.search.space import merge
from hpo.trainers.images.data import Digits, Images, Splits
from hpo.trainers.images.data.splits import sample
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.loop import Decision, fit
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from hpo.trainers.moving.clock import Score
from tests.unit.digits import digits

SOURCE = {"kind": "digits", "validation": 200, "split_seed": 3}
NEVER = {"kind": "accuracy_gap", "raise_above": 1e9, "lower_below": -1e9}
MUCH_DROPOUT: dict[str, Any] = {"regularizers": {"dropout": {"strength": 0.8}}}


@pytest.fixture(scope="module")
def splits() -> Splits:
    """Over a thousand training images, and 200 validation images."""
    return digits(SOURCE)


def trial(policy: dict[str, Any], **changes: Any) -> TrialSpec:
    """Six epochs with much dropout and random crops, and L2 moved by `policy`."""
    table: dict[str, Any] = {
        "epochs": 6,
        "batch_size": 50,
        "data": SOURCE,
        "augment": {"crop": 2},
        "model": {"kind": "mlp", "hidden": [32], "batch_norm": True},
        "optimizer": {"kind": "sgd", "momentum": 0.9},
        "lr": {"kind": "cosine", "peak": 0.05},
        "regularizers": {
            "l2": {"kind": "l2", "strength": 1e-4, "policy": policy},
            "dropout": {"kind": "dropout", "strength": 0.5},
        },
    }
    return TrialSpec.model_validate(merge(table, changes))


def trained(spec: TrialSpec, splits: Splits, seed: int = 7) -> list[Evaluation]:
    """The curve, without its times."""
    curve: list[Evaluation] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        curve.append(replace(evaluation, seconds=0.0, images_per_second=0.0))
        return Decision.CONTINUE

    fit(spec, seed, splits, report)
    return curve


def rows(images: Images) -> list[tuple[int, ...]]:
    labels, pixels = images.labels.tolist(), images.inputs.flatten(1).tolist()
    return [(label, *values) for label, values in zip(labels, pixels, strict=True)]


def test_the_sample(splits: Splits) -> None:
    """Training images as many as validation has, each class in its proportion, fixed by the split's seed."""
    chosen = sample(splits, 3)
    assert 200 == len(chosen)
    assert set(rows(chosen)) <= set(rows(splits.train))
    shares = torch.bincount(splits.train.labels) * 200 / len(splits.train)
    assert ((torch.bincount(chosen.labels) - shares).abs() < 1).all()
    assert rows(chosen) == rows(sample(splits, 3)) != rows(sample(splits, 4))


def test_of_few_training_images_all_are_the_sample() -> None:
    """Where validation has more."""
    few = digits(SOURCE | {"train_limit": 60})
    assert sample(few, 3) is few.train


def test_train_is_measured_as_validation_is(splits: Splits) -> None:
    """The net at the end of each epoch, without dropout and crops; the running accuracy lies far below."""
    run = Run(trial(NEVER), 7, splits)
    for _ in range(5):
        run.step()
        while not run.clock.at_epoch_end:
            run.step()
        found = run.evaluate()
        assert run.score(sample(splits, 3)) == found.sampled_train
        assert found.sampled_train is not None
    assert found.train.accuracy < found.sampled_train.accuracy - 0.1
    assert abs(found.sampled_train.accuracy - found.validation.accuracy) < 0.1


@pytest.mark.parametrize("kind", ["accuracy_gap", "loss_gap"])
def test_a_wide_gap_raises_the_strength_whatever_dropout_hides(kind: str) -> None:
    """Sixty images learned by heart: train lies above validation in truth, and below it while dropout acts."""
    few = SOURCE | {"train_limit": 60}
    policy = {"kind": kind, "raise_above": 0.02, "lower_below": 0.0, "factor": 2.0, "every": {"epochs": 30}}
    spec = trial(policy, epochs=31, batch_size=20, data=few, augment={"crop": 0}, **MUCH_DROPOUT)
    curve = trained(spec, digits(few))
    at_the_look = curve[29]
    assert at_the_look.train.accuracy < at_the_look.validation.accuracy
    assert 2e-4 == curve[30].strengths["l2"]


def test_reported_where_a_policy_is_about_to_look(splits: Splits) -> None:
    """Every second epoch, but not at the end, after which nobody looks."""
    curve = trained(trial(NEVER | {"every": {"epochs": 2}}), splits)
    assert [False, True, False, True, False, False] == [point.sampled_train is not None for point in curve]
    metrics = curve[1].reported().metrics
    assert curve[1].sampled_train == Score(metrics["sampled_train_loss"], metrics["sampled_train_accuracy"])
    assert not [name for name in curve[0].reported().metrics if name.startswith("sampled")]


def test_looks_counted_in_steps(splits: Splits) -> None:
    """Of 24 steps an epoch: before steps 60 and 120, which are in the third epoch and at the beginning of the sixth."""
    curve = trained(trial(NEVER | {"every": {"steps": 60}}), splits)
    assert 24 == curve[0].step
    assert [False, True, False, False, True, False] == [point.sampled_train is not None for point in curve]


@pytest.mark.parametrize(
    "policy",
    [
        {"kind": "hold"},
        {"kind": "ramp", "direction": "up"},
        {"kind": "gap", "of": "validation_loss", "minus": "validation_accuracy", "raise_above": 0, "lower_below": 0},
    ],
)
def test_not_measured_where_nobody_looks_at_train(policy: dict[str, Any], splits: Splits) -> None:
    """Policies that look at nothing, or at validation alone."""
    assert [None] * 6 == [point.sampled_train for point in trained(trial(policy), splits)]


def test_looking_changes_nothing_by_itself(splits: Splits) -> None:
    """A policy that looks and keeps: bit for bit the trial that holds, so no random number is used up."""
    held, looked = trained(trial({"kind": "hold"}), splits), trained(trial(NEVER), splits)
    assert held == [replace(point, sampled_train=None) for point in looked]
    assert any(point.sampled_train is not None for point in looked)


def test_a_checkpoint_of_a_trial_that_does_not_look(splits: Splits) -> None:
    """Taken over at the end of an epoch, before any look, the sample is measured as it would have been."""
    run = Run(trial(NEVER), 7, splits)
    for _ in range(run.clock.steps_per_epoch):
        run.step()
    expected = run.evaluate().sampled_train
    run._sampled_train = None
    again = Run(trial(NEVER), 7, splits)
    again.restore(run.checkpoint())
    assert expected == again._sampled_train


STEERED = SOURCE | {"steer": 150}


@pytest.mark.parametrize("steer", [150, 150 / 1438])
def test_a_part_to_steer_by(steer: float, splits: Splits) -> None:
    """Taken from the images to train on, each class in its proportion; validation stays what it was."""
    found = digits(SOURCE | {"steer": steer})
    assert found.steer is not None
    assert rows(splits.validation) == rows(found.validation)
    assert (150, len(splits.train)) == (len(found.steer), len(found.train) + len(found.steer))
    assert sorted(rows(splits.train)) == sorted(rows(found.train) + rows(found.steer))
    assert 9 <= torch.bincount(found.steer.labels, minlength=10).min().item()
    assert 150 == len(sample(found, 3)), "as large as what it is compared with"


def test_feedback_looks_at_the_part_to_steer_by() -> None:
    """The strength answers to it alone, whatever validation says, and the curve has what it saw."""
    found = digits(STEERED)
    policy = {"kind": "gap", "of": "validation_loss", "minus": "train_loss", "factor": 2.0}
    policy |= {"raise_above": 0.0, "lower_below": 0.0}
    curve, expected = trained(trial(policy, data=STEERED), found), 1e-4
    disagree = 0
    for before, now in pairwise(curve):
        assert before.steer is not None and before.sampled_train is not None
        rises = before.steer.loss > before.sampled_train.loss
        disagree += rises != (before.validation.loss > before.sampled_train.loss)
        expected = expected * 2 if rises else expected / 2
        assert pytest.approx(expected) == now.strengths["l2"]
        assert before.steer.accuracy == before.reported().metrics["steer_accuracy"]
    assert disagree, "the two would be the same"
    assert curve[-1].steer is None


def test_steering_resumed_at_every_step() -> None:
    """Bit for bit as in one go."""
    found, policy = digits(STEERED | {"train_limit": 150}), NEVER | {"lower_below": 0.0, "raise_above": 0.0}
    spec = trial(policy, data=STEERED | {"train_limit": 150})
    curves: list[list[Evaluation]] = []
    for in_pieces in (False, True):
        run, curve = Run(spec, 7, found), []
        while not run.complete:
            if in_pieces:
                kept, run = run.checkpoint(), Run(spec, 7, found)
                run.restore(kept)
            run.step()
            if run.clock.at_epoch_end:
                curve.append(replace(run.evaluate(), seconds=0.0, images_per_second=0.0))
        curves.append(curve)
    assert curves[0] == curves[1]
    assert len({point.strengths["l2"] for point in curves[0]}) > 1


@pytest.mark.parametrize("steer", [0, 1.0, -3, 1300, 1238, True, "some"])
def test_no_part_to_steer_by(steer: Any) -> None:
    """A whole number or a share, which leaves images to train on beside validation."""
    with pytest.raises(ValidationError):
        Digits.model_validate(SOURCE | {"steer": steer})
