"""Recorded steps on a GPU: they are what they replace, bit for bit, whatever moves. Skipped where there is no GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hpo.search.space import merge
from hpo.trainers.images.data.cache import DataCache
from hpo.trainers.images.data.images import Splits
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

TRIAL: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 32,
    "data": {"kind": "digits", "validation": 0.2},
    "model": {"kind": "mlp", "hidden": [32, 32]},
    "optimizer": {"kind": "sgd", "momentum": 0.9},
    "lr": {"kind": "cosine", "peak": 0.05},
}
DECAY = {"strength": 1e-2}
PARTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "adam": {"optimizer": {"kind": "adam"}, "lr": {"peak": 1e-3}},
    "rmsprop": {"optimizer": {"kind": "rmsprop"}, "lr": {"peak": 1e-3}},
    "cnn": {"model": {"kind": "cnn", "channels": [4, 8, 8]}},
    "augmented": {"augment": {"crop": 1, "flip": True, "rotate": 10.0, "cutout": 2}},
    "clipped": {"clip_norm": 0.5, "gradient_norms": ["output.weight"]},
    "bfloat16": {"precision": "bfloat16"},
    "decay": {"regularizers": {"decay": {"kind": "weight_decay"} | DECAY}},
    "cautious": {"regularizers": {"decay": {"kind": "cautious_weight_decay"} | DECAY}},
    "l2 that follows the rate": {
        "regularizers": {"l2": {"kind": "l2", "policy": {"kind": "follows_lr"}} | DECAY},
    },
    "l2 by epochs": {
        "regularizers": {
            "l2": {"kind": "l2", "policy": {"kind": "ramp", "direction": "up", "shape": "linear"}} | DECAY,
        }
    },
    "penalties": {
        "regularizers": {kind: {"kind": kind, "strength": 1e-3} for kind in ("l1", "l_half", "tikhonov")},
    },
    "noise": {
        "regularizers": {
            "dropout": {"kind": "dropout", "strength": 0.2},
            "input_noise": {"kind": "input_noise", "strength": 0.1},
            "label_smoothing": {"kind": "label_smoothing", "strength": 0.1},
            "sparse_gradient": {"kind": "sparse_gradient", "strength": 0.2},
        },
    },
    "batch size": {"regularizers": {"batch_size": {"kind": "batch_size", "strength": 2}}},
}


@pytest.fixture(scope="module")
def splits() -> Splits:
    torch.backends.cudnn.deterministic = True
    spec = trial({})
    return DataCache().splits(spec.data, True, torch.device("cuda"))


def trial(part: dict[str, Any]) -> TrialSpec:
    return TrialSpec.model_validate(merge(TRIAL, part))


def trained(run: Run) -> list[torch.Tensor]:
    """The weights after the rest of a trial, and what was measured of its last epoch."""
    while not run.complete:
        run.step()
        if run.clock.at_epoch_end:
            said = run.evaluate()
    scores = [said.train.loss, said.validation.loss, *said.gradient_norms.values()]
    return [*(tensor.clone() for tensor in run.model.state_dict().values()), torch.tensor(scores)]


def same(ones: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(one.cpu(), other.cpu()) for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("part", PARTS)
def test_bit_for_bit(part: str, splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replayed, never recorded, and resumed in the middle of an epoch: the same weights and scores."""
    recorded = Run(trial(PARTS[part]), 3, splits)
    replayed = trained(recorded)
    resumed = Run(trial(PARTS[part]), 3, splits)
    for _ in range(40):
        resumed.step()
        if resumed.clock.at_epoch_end:
            resumed.evaluate()
    again = Run(trial(PARTS[part]), 3, splits)
    again.restore(resumed.checkpoint())
    assert same(replayed, trained(again))
    monkeypatch.setattr("hpo.trainers.images.recorded_step.STEPS_BEFORE", 10**9)
    eager = Run(trial(PARTS[part]), 3, splits)
    assert same(replayed, trained(eager))
    moves_every_step = part == "l2 that follows the rate"
    assert recorded._recorded is not None and recorded._recorded.is_recorded is not moves_every_step


def test_the_device_is_not_waited_for(splits: Splits) -> None:
    """No step reads a number from the device, recorded or not."""
    run = Run(trial(PARTS["cautious"] | {"clip_norm": 1.0}), 3, splits)
    run.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            run.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
