"""Training as a whole: the same seed gives the same curve, however often interrupted; how trials end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from hpo.errors import CheckpointError, StudyFileError
from hpo.trainers.images import checkpoint as checkpoint_module
from hpo.trainers.images.augment import Augment
from hpo.trainers.images.batches import Batches, Normalize
from hpo.trainers.images.data import Images, Splits
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.loop import Decision, Ended, Outcome, fit
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from tests.unit.digits import digits

SOURCE = {"kind": "digits", "validation": 100, "train_limit": 100}
MLP: dict[str, Any] = {"kind": "mlp", "hidden": [16]}
CNN: dict[str, Any] = {"kind": "cnn", "channels": [4, 4, 4], "batch_norm": True}
SGD: dict[str, Any] = {"kind": "sgd", "momentum": 0.9}
ADAMW: dict[str, Any] = {"kind": "adamw"}
FEEDBACK = {"kind": "accuracy_gap", "raise_above": 0.005, "lower_below": 0.005, "every": {"steps": 3}}


@pytest.fixture(scope="module")
def splits() -> Splits:
    """100 training images, 100 validation images, and a test set."""
    return digits(SOURCE, with_test=True)


AS_THEY_ARE = Normalize(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
"""Leaves images as they are, but for the type."""


def trial(**changes: Any) -> TrialSpec:
    """Three epochs of four steps of 25 images, with dropout, and L2 that answers to the accuracy gap."""
    table: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 25,
        "data": SOURCE,
        "model": MLP,
        "optimizer": SGD,
        "lr": {"kind": "cosine", "peak": 0.05, "per": "step"},
        "regularizers": {
            "l2": {"kind": "l2", "strength": 0.01, "policy": FEEDBACK},
            "dropout": {"kind": "dropout", "strength": 0.2},
        },
        "gradient_norms": ["output.weight"],
    }
    return TrialSpec.model_validate(table | changes)


def curve_of(evaluations: list[Evaluation]) -> list[dict[str, Any]]:
    """Everything that was measured, but for the times."""
    timeless = [
        replace(evaluation, seconds=0.0, images_per_second=0.0, scoring_seconds=0.0) for evaluation in evaluations
    ]
    return [asdict(evaluation) for evaluation in timeless]


def trained(spec: TrialSpec, seed: int, splits: Splits, **options: Any) -> tuple[Outcome, list[dict[str, Any]]]:
    """The outcome and the curve."""
    evaluations: list[Evaluation] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        evaluations.append(evaluation)
        return Decision.CONTINUE

    return fit(spec, seed, splits, report, **options), curve_of(evaluations)


def one_step_at_a_time(spec: TrialSpec, seed: int, splits: Splits) -> tuple[Outcome, list[dict[str, Any]], int]:
    """As `trained`, interrupted after every step and continued from the checkpoint; and how many steps."""
    evaluations: list[Evaluation] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        evaluations.append(evaluation)
        return Decision.CONTINUE

    checkpoint, times = None, 0
    while True:
        torch.manual_seed(99 + times)  # what happened in the process before doesn't matter
        asked = iter([False])
        outcome = fit(spec, seed, splits, report, resume=checkpoint, interrupted=lambda asked=asked: next(asked, True))
        times += 1
        if outcome.ended is not Ended.INTERRUPTED:
            return outcome, curve_of(evaluations), times
        checkpoint = outcome.checkpoint


# --- the same seed, the same curve


@pytest.mark.parametrize("model", [MLP, CNN], ids=["mlp", "cnn"])
@pytest.mark.parametrize("optimizer", [SGD, ADAMW], ids=["sgd", "adamw"])
def test_interrupted_at_every_step(model: dict[str, Any], optimizer: dict[str, Any], splits: Splits) -> None:
    """In twelve pieces, a trial measures bit for bit what it measures in one go."""
    spec = trial(model=model, optimizer=optimizer, lr={"kind": "constant", "peak": 0.01})
    whole, curve = trained(spec, 7, splits)
    pieces, same_curve, times = one_step_at_a_time(spec, 7, splits)
    assert (curve, whole) == (same_curve, pieces)
    assert (12, Ended.FINISHED, 3) == (times, whole.ended, len(curve))
    assert len({point["strengths"]["l2"] for point in curve}) > 1, "the policy never moved"


def test_interrupted_between_epochs(splits: Splits) -> None:
    """A checkpoint made while an epoch is reported continues with the next one; the last one only ends."""
    checkpoints: list[bytes] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        checkpoints.append(checkpoint())
        return Decision.CONTINUE

    whole, curve = trained(trial(), 7, splits)
    fit(trial(), 7, splits, report)
    for epoch, checkpoint in enumerate(checkpoints, start=1):
        assert (whole, curve[epoch:]) == trained(trial(), 7, splits, resume=checkpoint)


def test_interrupted_before_the_first_step(splits: Splits) -> None:
    """There is nothing yet but the beginning, and it can be continued."""
    outcome, curve = trained(trial(), 7, splits, interrupted=lambda: True)
    assert (Ended.INTERRUPTED, 0, None, None, []) == (
        outcome.ended,
        outcome.epochs,
        outcome.validation,
        outcome.test,
        curve,
    )
    assert trained(trial(), 7, splits) == trained(trial(), 7, splits, resume=outcome.checkpoint)


@pytest.mark.parametrize("model", [MLP, CNN], ids=["mlp", "cnn"])
def test_same_seed_same_curve(model: dict[str, Any], splits: Splits) -> None:
    """Twice in one process, whatever the global generator was at; another seed gives another curve."""
    spec = trial(model=model)
    first = trained(spec, 7, splits)
    torch.manual_seed(123)
    assert first == trained(spec, 7, splits)
    assert first[1] != trained(spec, 8, splits)[1]


SCRIPT = """
import json, sys, torch
from tests.unit.digits import digits
from tests.unit.test_loop import SOURCE, TrialSpec, trained
torch.set_num_threads(1)
splits = digits(SOURCE, with_test=True)
outcome, curve = trained(TrialSpec.model_validate_json(sys.argv[1]), 7, splits)
print(json.dumps([curve, outcome.test.loss]))
"""


def test_same_curve_in_another_process(splits: Splits) -> None:
    """A trial that travels as JSON gives the same numbers to the last bit."""
    spec = trial(model=CNN)
    outcome, curve = trained(spec, 7, splits)
    command = [sys.executable, "-c", SCRIPT, spec.model_dump_json()]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert outcome.test is not None
    assert [curve, outcome.test.loss] == json.loads(ran.stdout)


def test_order_of_regularizers(splits: Splits) -> None:
    """Which regularizer the file names first makes no difference."""
    parts = {
        "l2": {"kind": "l2", "strength": 0.5},
        "decay": {"kind": "weight_decay", "strength": 2.0},
    }
    lr = {"kind": "constant", "peak": 0.1}
    one, _ = trained(trial(regularizers=parts, lr=lr), 7, splits)
    other, _ = trained(trial(regularizers=dict(reversed(parts.items())), lr=lr), 7, splits)
    assert one.validation is not None and other.validation is not None
    assert one.validation.loss == pytest.approx(other.validation.loss, rel=1e-5)


# --- checkpoints


@pytest.fixture(scope="module")
def checkpoint(splits: Splits) -> bytes:
    """In the middle of the second epoch."""
    asked = iter([False] * 6)
    outcome, _ = trained(trial(), 7, splits, interrupted=lambda: next(asked, True))
    assert outcome.checkpoint is not None
    return outcome.checkpoint


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_checkpoint(share: float, checkpoint: bytes, splits: Splits) -> None:
    """A part of a checkpoint, or nothing at all, is no checkpoint."""
    with pytest.raises(CheckpointError):
        trained(trial(), 7, splits, resume=checkpoint[: int(share * len(checkpoint))])


def test_flipped_checkpoint(checkpoint: bytes, splits: Splits) -> None:
    """One wrong byte, anywhere, is either noticed or without any effect."""
    whole = trained(trial(), 7, splits, resume=checkpoint)
    harmful = []
    for place in range(0, len(checkpoint), len(checkpoint) // 60):
        damaged = bytearray(checkpoint)
        damaged[place] ^= 0x55
        try:
            if trained(trial(), 7, splits, resume=bytes(damaged)) != whole:
                harmful.append(place)
        except CheckpointError:
            pass
    assert [] == harmful


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04", bytes(1000)])
def test_not_a_checkpoint(content: bytes, splits: Splits) -> None:
    """Anything else is refused as well."""
    with pytest.raises(CheckpointError, match="damaged"):
        trained(trial(), 7, splits, resume=content)


@pytest.mark.parametrize(
    ("spec", "seed"),
    [
        (trial(), 8),
        (trial(epochs=4), 7),
        (trial(model={"kind": "mlp", "hidden": [17]}), 7),
        (trial(optimizer=ADAMW), 7),
    ],
)
def test_checkpoint_of_another_trial(spec: TrialSpec, seed: int, checkpoint: bytes, splits: Splits) -> None:
    """Another seed or another spec: it isn't continued."""
    with pytest.raises(CheckpointError, match="another trial"):
        trained(spec, seed, splits, resume=checkpoint)


def test_checkpoint_of_another_version(checkpoint: bytes, splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older hpo has written says so."""
    monkeypatch.setattr(checkpoint_module, "VERSION", checkpoint_module.VERSION + 1)
    with pytest.raises(CheckpointError, match="version"):
        trained(trial(), 7, splits, resume=checkpoint)


# --- how trials end


def test_diverged(splits: Splits) -> None:
    """A loss that is not a number ends the trial; the epoch is reported first."""
    spec = trial(lr={"kind": "constant", "peak": 1e30})
    outcome, curve = trained(spec, 7, splits)
    assert (Ended.DIVERGED, 1, 1) == (outcome.ended, outcome.epochs, len(curve))
    assert outcome.test is None


def test_diverged_and_continued(splits: Splits) -> None:
    """A checkpoint made while the diverged epoch is reported ends the same way."""
    spec = trial(epochs=1, lr={"kind": "constant", "peak": 1e30})
    checkpoints: list[bytes] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        checkpoints.append(checkpoint())
        return Decision.CONTINUE

    assert Ended.DIVERGED is fit(spec, 7, splits, report).ended
    assert Ended.DIVERGED is trained(spec, 7, splits, resume=checkpoints[0])[0].ended


def test_pruned(splits: Splits) -> None:
    """The answer to a report ends the trial at once, unscored on test."""
    epochs: list[int] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        epochs.append(evaluation.epoch)
        return Decision.PRUNE if evaluation.epoch == 2 else Decision.CONTINUE

    outcome = fit(trial(), 7, splits, report)
    assert (Ended.PRUNED, 2, [1, 2]) == (outcome.ended, outcome.epochs, epochs)
    assert outcome.validation is not None
    assert outcome.test is None


def test_finished(splits: Splits) -> None:
    """Validation is the last epoch's; test is scored once, at the end, only if there is a test set."""
    outcome, curve = trained(trial(epochs=8), 7, splits)
    searching, same_curve = trained(trial(epochs=8), 7, replace(splits, test=None))
    assert curve == same_curve
    assert outcome.validation is not None and outcome.test is not None
    assert asdict(outcome.validation) == curve[-1]["validation"]
    assert (None, outcome.validation) == (searching.test, searching.validation)
    assert outcome.test.accuracy > 0.5, "it learns: one in ten is chance"
    assert outcome.checkpoint is None


@pytest.mark.parametrize("model", [{"kind": "mlp", "hidden": [8]}, {"kind": "mlp", "hidden": [8], "batch_norm": True}])
def test_weights_and_order_have_seeds_of_their_own(model: dict[str, Any], splits: Splits) -> None:
    """Two trials with the same ones are the same whatever their own seed; each of the two makes a difference."""
    dropout = {"dropout": {"kind": "dropout", "strength": 0.3}}

    def curve(seed: int, **seeds: int) -> Any:
        return trained(trial(epochs=2, model=model, regularizers=dropout, augment={"crop": 1}, **seeds), seed, splits)[
            1
        ]

    both = curve(7, init_seed=1, order_seed=2)
    assert both == curve(8, init_seed=1, order_seed=2)
    assert both == curve(2, init_seed=1) == curve(1, order_seed=2)
    assert both != curve(7, init_seed=1) and both != curve(7, order_seed=2)
    begun = [Run(trial(epochs=2, model=model, init_seed=1), seed, splits).model.state_dict() for seed in (7, 8)]
    assert all(torch.equal(begun[0][name], begun[1][name]) for name in begun[0])


# --- what is measured


def test_test_is_scored_along_the_way_where_asked(splits: Splits) -> None:
    """After every epoch, the last of which is what the trial ends with; it changes nothing, and needs a test set."""
    alone, curve = trained(trial(epochs=3), 7, splits)
    along, seen = trained(trial(epochs=3, test_curve=True), 7, splits)
    _, searching = trained(trial(epochs=3, test_curve=True), 7, replace(splits, test=None))
    assert [None] * 3 == [point.pop("test") for point in curve] == [point.pop("test") for point in searching]
    tested = [point.pop("test") for point in seen]
    assert along.test is not None and along.test == alone.test
    assert (3, asdict(along.test)) == (len({score["loss"] for score in tested}), tested[-1])
    assert curve == seen == searching


def test_evaluations(splits: Splits) -> None:
    """Epochs and steps count from 1; lr and strengths are those of the epoch's last step."""
    spec = trial(
        lr={"kind": "stages", "peak": 0.1, "factors": [1.0, 0.1], "steps": [7, 5]},
        regularizers={"l2": {"kind": "l2", "strength": 0.2, "policy": {"kind": "stages", "factors": [2, 1, 0]}}},
    )
    _, curve = trained(spec, 7, splits)
    assert [(1, 4), (2, 8), (3, 12)] == [(point["epoch"], point["step"]) for point in curve]
    assert pytest.approx([0.1, 0.01, 0.01]) == [point["lr"] for point in curve]
    assert [0.4, 0.2, 0.0] == [point["strengths"]["l2"] for point in curve]


def test_feedback_by_hand(splits: Splits) -> None:
    """The strength of each epoch follows from the accuracies of the one before."""
    policy = {"kind": "accuracy_gap", "raise_above": 0.02, "lower_below": 0.02, "factor": 2.0}
    spec = trial(epochs=6, regularizers={"l2": {"kind": "l2", "strength": 0.01, "policy": policy}})
    _, curve = trained(spec, 7, splits)
    expected = 0.01
    for before, point in zip([None, *curve], curve, strict=False):
        if before is not None:
            gap = before["sampled_train"]["accuracy"] - before["validation"]["accuracy"]
            expected = expected * 2 if gap > 0.02 else expected / 2
        assert pytest.approx(expected) == point["strengths"]["l2"]


def dropout(strength: float, policy: dict[str, Any]) -> dict[str, Any]:
    return {"dropout": {"kind": "dropout", "strength": strength, "policy": policy}}


def test_dropout_strength_reaches_the_model(splits: Splits) -> None:
    """A ramp from 0.2 to three times as much; the layer has the rate of the last step."""
    run = Run(trial(regularizers=dropout(0.2, {"kind": "ramp", "direction": "up", "factor": 3.0})), 7, splits)
    while not run.complete:
        run.step()
    assert pytest.approx(0.2 * 3 ** (11 / 12)) == run.model.get_submodule("dropout1").p


def test_dropout_has_a_ceiling(splits: Splits) -> None:
    """No policy raises it above 0.95."""
    _, curve = trained(trial(regularizers=dropout(0.9, {"kind": "ramp", "direction": "up"})), 7, splits)
    assert [0.95] * 3 == [point["strengths"]["dropout"] for point in curve]


def test_gradient_norms(splits: Splits) -> None:
    """Of the epoch's last minibatch and the loss alone, whatever the regularizers add to the gradient."""
    spec = trial(epochs=1, regularizers={"l2": {"kind": "l2", "strength": 10.0}}, lr={"kind": "constant", "peak": 1e-3})
    run = Run(spec, 7, splits)
    for _ in range(3):
        run.step()
    batch = Batches(splits.train, 25, 7, Augment(), Normalize.of(splits)).at(3)
    loss = functional.cross_entropy(run.model(batch.inputs), batch.labels)
    (expected,) = torch.autograd.grad(loss, [run.model.get_parameter("output.weight")])
    run.step()
    assert {"output.weight": pytest.approx(expected.norm().item(), rel=1e-6)} == run.evaluate().gradient_norms
    assert expected.norm() > 0


def test_train_score_is_the_mean_over_the_epoch(splits: Splits) -> None:
    """Each minibatch as it was met, before the step that it led to."""
    spec = trial(regularizers={}, gradient_norms=[])
    run, batches = Run(spec, 7, splits), Batches(splits.train, 25, 7, Augment(), Normalize.of(splits))
    for _ in range(2):
        losses, correct = [], 0
        for _ in range(4):
            batch = batches.at(run.clock.step)
            logits = run.model.train()(batch.inputs).detach()
            losses.append(functional.cross_entropy(logits, batch.labels).item())
            correct += int((logits.argmax(1) == batch.labels).sum())
            run.step()
        train = run.evaluate().train
        assert pytest.approx(sum(losses) / 4) == train.loss
        assert correct / 100 == pytest.approx(train.accuracy)


def test_unknown_parameter(splits: Splits) -> None:
    """The error names it and the hint lists those there are."""
    with pytest.raises(StudyFileError, match=r"no parameter 'output\.wait'") as caught:
        trained(trial(gradient_norms=["output.wait"]), 7, splits)
    assert "linear1.weight, linear1.bias, output.weight, output.bias" in caught.value.hint


# --- batches


def test_batches_cover_an_epoch_once() -> None:
    """10 images in batches of 3: three batches, nine different images, another order in every epoch."""
    images = Images(torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1), torch.arange(10))
    batches = Batches(images, 3, 1, Augment(), AS_THEY_ARE)
    assert 3 == batches.per_epoch
    epochs = [[batches.at(3 * epoch + index) for index in range(3)] for epoch in range(4)]
    orders = [tuple(label for batch in epoch for label in batch.labels.tolist()) for epoch in epochs]
    assert [9] * 4 == [len(set(order)) for order in orders]
    assert 4 == len(set(orders))
    for batch in (batch for epoch in epochs for batch in epoch):
        assert (3, 1, 1, 1) == batch.inputs.shape
        assert batch.labels.tolist() == batch.inputs.flatten().tolist()


def test_batches_know_any_step() -> None:
    """Asked in any order, a step has the same batch; another seed has others."""
    images = Images(torch.zeros(20, 1, 1, 1, dtype=torch.uint8), torch.arange(20))
    in_order, backwards, other = (Batches(images, 5, seed, Augment(), AS_THEY_ARE) for seed in (1, 1, 2))
    batches = [in_order.at(step).labels.tolist() for step in range(12)]
    assert batches[::-1] == [backwards.at(step).labels.tolist() for step in reversed(range(12))]
    assert batches != [other.at(step).labels.tolist() for step in range(12)]


def test_batch_larger_than_the_set() -> None:
    """The whole set is the batch then."""
    images = Images(torch.zeros(4, 1, 1, 1, dtype=torch.uint8), torch.arange(4))
    batches = Batches(images, 100, 1, Augment(), AS_THEY_ARE)
    assert (4, 1) == (batches.batch_size, batches.per_epoch)
    assert [0, 1, 2, 3] == sorted(batches.at(5).labels.tolist())


def test_normalized(splits: Splits) -> None:
    """The training images have mean 0 and standard deviation 1."""
    inputs = Normalize.of(splits)(splits.train.inputs)
    assert (torch.float32, splits.train.inputs.shape) == (inputs.dtype, inputs.shape)
    assert inputs.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert inputs.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)
