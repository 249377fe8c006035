"""The learning rate falls where validation no longer improves, at the same epoch however often interrupted."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.optim.lr_scheduler import ReduceLROnPlateau

from hpo.trainers.images.data import Splits
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.loop import Decision, Ended, Outcome, fit
from hpo.trainers.images.plateau import Plateau, PlateauState
from hpo.trainers.images.trial import TrialSpec
from hpo.trainers.moving.clock import Score
from tests.unit.digits import digits

SOURCE = {"kind": "digits", "validation": 100, "train_limit": 60}


def shares(rule: Plateau, scores: list[Score]) -> list[float]:
    """Of the scheduled learning rate, after each epoch."""
    state, found = PlateauState(), []
    for score in scores:
        state = rule(state, score)
        found.append(state.share)
    return found


@pytest.mark.parametrize(
    ("rule", "losses", "expected"),
    [
        ({"patience": 1}, [1.0, 0.9, 0.9, 0.8, 0.85], [1.0, 1.0, 0.1, 0.1, 0.01]),
        ({"patience": 2, "factor": 0.5}, [1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.5, 0.5, 0.25]),
        ({"patience": 1, "min_delta": 0.1}, [1.0, 0.95, 0.85], [1.0, 0.1, 0.1]),  # against the best, not the last
        ({"patience": 1, "factor": 0.5, "floor": 0.3}, [1.0, 1.0, 1.0, 1.0], [1.0, 0.5, 0.3, 0.3]),
        ({"patience": 1}, [1.0, float("nan")], [1.0, 0.1]),
    ],
)
def test_when(rule: dict[str, Any], losses: list[float], expected: list[float]) -> None:
    """Worked out by hand."""
    found = shares(Plateau.model_validate(rule), [Score(loss, 0.5) for loss in losses])
    assert pytest.approx(expected) == found


def test_accuracy_has_to_rise() -> None:
    """By more than the best one before it."""
    rule = Plateau(patience=1, metric="validation_accuracy")
    assert [1.0, 1.0, 0.1, 0.1] == shares(rule, [Score(9.0, accuracy) for accuracy in (0.5, 0.6, 0.6, 0.7)])


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_as_pytorchs(patience: int) -> None:
    """ReduceLROnPlateau with a patience of one epoch less, on losses at random."""
    dice = random.Random(patience)
    losses = [round(dice.uniform(0.0, 1.0) * 0.99**epoch, 2) for epoch in range(200)]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience - 1, threshold=0.05, threshold_mode="abs", eps=0.0
    )
    expected = []
    for loss in losses:
        theirs.step(loss)
        expected.append(optimizer.param_groups[0]["lr"])
    rule = Plateau(patience=patience, factor=0.5, min_delta=0.05)
    assert pytest.approx(expected) == shares(rule, [Score(loss, 0.5) for loss in losses])
    assert len(set(expected)) > 10


@pytest.fixture(scope="module")
def splits() -> Splits:
    """60 training images, three steps an epoch."""
    return digits(SOURCE)


def trial(**changes: Any) -> TrialSpec:
    """Of a learning rate so high that the loss goes up and down, and a strength that follows it."""
    follows = {"kind": "follows_lr", "power": 1.0, "limit": 100.0}
    table: dict[str, Any] = {
        "epochs": 12,
        "batch_size": 20,
        "data": SOURCE,
        "model": {"kind": "mlp", "hidden": [8]},
        "optimizer": {"kind": "sgd"},
        "lr": {"kind": "linear", "peak": 0.4, "floor": 0.2, "epochs": 12},
        "plateau": {"patience": 1, "factor": 0.5},
        "regularizers": {"l2": {"kind": "l2", "strength": 1e-3, "policy": follows}},
    }
    return TrialSpec.model_validate(table | changes)


def trained(
    spec: TrialSpec, splits: Splits, stop: Callable[[], bool] = lambda: False, resume: bytes | None = None
) -> tuple[list[Evaluation], Outcome]:
    seen: list[Evaluation] = []

    def report(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        seen.append(replace(evaluation, seconds=0.0, images_per_second=0.0))
        return Decision.CONTINUE

    return seen, fit(spec, 7, splits, report, resume=resume, interrupted=stop)


def test_multiplies_the_schedule(splits: Splits) -> None:
    """From the epoch after; what follows the learning rate follows the lowered one."""
    spec = trial()
    curve, _ = trained(spec, splits)
    lowered = [1.0, *shares(spec.plateau or Plateau(patience=1), [one.validation for one in curve])[:-1]]
    scheduled = [one.lr for one in trained(trial(plateau=None), splits)[0]]
    assert pytest.approx([share * lr for share, lr in zip(lowered, scheduled, strict=True)]) == [
        one.lr for one in curve
    ]
    assert lowered[-1] < 1.0
    strengths = [min(1e-3 * 0.4 / one.lr, 0.1) for one in curve]
    assert pytest.approx(strengths) == [one.strengths["l2"] for one in curve]


def test_resumed(splits: Splits) -> None:
    """Interrupted after every step, the curve is the same, bit for bit."""
    curve, outcome = trained(trial(), splits)
    seen: list[Evaluation] = []
    pieces = Outcome(Ended.INTERRUPTED, 0)
    while pieces.ended is Ended.INTERRUPTED:
        asked = iter([False])
        later, pieces = trained(trial(), splits, lambda asked=asked: next(asked, True), pieces.checkpoint)  # type: ignore[misc]
        seen += later
    assert (curve, outcome) == (seen, pieces)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"patience": 0},
        {"patience": 1, "factor": 1.0},
        {"patience": 1, "floor": 1.0},
        {"patience": 1, "metric": "loss"},
    ],
)
def test_refused(given: dict[str, Any]) -> None:
    """A factor and a floor below 1, and a whole number of epochs."""
    with pytest.raises(ValidationError):
        Plateau.model_validate(given)
