"""Steps that can be recorded: from one to the next nothing differs but the content of tensors, and none is read.

Seen on the CPU, in every operation of a step. That a recorded step is what it replaces, bit for bit, is seen on a GPU.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from hpo.search.space import merge
from hpo.trainers.images.data.cache import DataCache
from hpo.trainers.images.data.images import Splits
from hpo.trainers.images.recorded_step import VARIABLE
from hpo.trainers.images.regularizers import Regularizer
from hpo.trainers.images.run import Run
from hpo.trainers.images.trial import TrialSpec
from tests.unit.digits import enlarged

READS = ("aten._local_scalar_dense", "aten.equal", "aten.nonzero")
"""Operations with which the host waits for what the device has computed."""
WITHOUT_A_DETERMINISTIC_WAY = {
    "_adaptive_avg_pool2d_backward",
    "_adaptive_avg_pool3d_backward",
    "adaptive_max_pool2d_backward",
    "avg_pool3d_backward",
    "bincount",
    "fractional_max_pool2d_backward",
    "grid_sampler_2d_backward",
    "histc",
    "kthvalue",
    "max_unpool2d",
    "median",
    "nll_loss2d_forward",
    "put_",
    "reflection_pad1d_backward",
    "reflection_pad2d_backward",
    "upsample_bicubic2d_backward",
    "upsample_bilinear2d_backward",
    "upsample_linear1d_backward",
}
"""For which torch.use_deterministic_algorithms raises on a GPU, by its documentation."""
NETS: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "mlp", "hidden": [8]},
    "cnn": {"kind": "cnn", "channels": [4, 8, 8]},
    "resnet": {"kind": "resnet", "depth": 8},
    "mobilenet": {"kind": "mobilenet", "width": 0.1},
}
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

TRIAL: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 32,
    "data": {"kind": "digits", "validation": 0.2},
    "model": {"kind": "mlp", "hidden": [32, 32]},
    "optimizer": {"kind": "sgd", "momentum": 0.9},
    "lr": {"kind": "cosine", "peak": 0.05},
}
DECAY = {"strength": 1e-2}
MOVING: dict[str, dict[str, Any]] = {
    "l2 that follows the rate": {
        "regularizers": {"l2": {"kind": "l2", "policy": {"kind": "follows_lr"}} | DECAY},
    },
    "l2 that ramps": {
        "regularizers": {
            "l2": {"kind": "l2", "policy": {"kind": "ramp", "direction": "up", "shape": "linear"}} | DECAY,
        }
    },
}
"""With a strength that moves at every step, so that none is worth recording."""
PARTS: dict[str, dict[str, Any]] = {
    **MOVING,
    "as it is": {},
    "adam": {"optimizer": {"kind": "adam"}, "lr": {"peak": 1e-3}},
    "rmsprop": {"optimizer": {"kind": "rmsprop"}, "lr": {"peak": 1e-3}},
    "cnn": {"model": {"kind": "cnn", "channels": [4, 8, 8]}},
    "augmented": {"augment": {"crop": 1, "flip": True, "rotate": 10.0, "cutout": 2}},
    "clipped": {"clip_norm": 0.5, "gradient_norms": ["output.weight"]},
    "bfloat16": {"precision": "bfloat16"},
    "decay": {"regularizers": {"decay": {"kind": "weight_decay"} | DECAY}},
    "cautious": {"regularizers": {"decay": {"kind": "cautious_weight_decay"} | DECAY}},
    "penalties": {
        "regularizers": {kind: {"kind": kind, "strength": 1e-3} for kind in ("l1", "l_half", "tikhonov")},
    },
    "proximal": {
        "regularizers": {kind: {"kind": kind, "strength": 1e-3} for kind in ("proximal_l1", "proximal_l_half")},
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


def splits(device: str) -> Splits:
    return DataCache().splits(trial({}).data, True, torch.device(device))


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


class Operations(TorchDispatchMode):
    """Every operation that torch is asked for: its name and arguments, tensors by what they are and not by content."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace != "profiler":  # marks of torch's own
            self.seen.append(f"{func}{tree_map(_without_content, (args, kwargs or {}))}")
        return func(*args, **(kwargs or {}))


def _without_content(value: Any) -> Any:
    return (value.dtype, tuple(value.shape), value.device) if isinstance(value, torch.Tensor) else value


def steps_seen(run: Run, count: int) -> list[list[str]]:
    """The operations of the device's part of so many steps, the learning rate as a GPU has it."""
    seen = []
    for number in range(count):
        run.step()  # schedule, policies and order move on
        chosen = run._batches.choose(run._step)
        with Operations() as operations:
            run._train(chosen, torch.tensor(0.05 - 0.001 * number))
        seen.append(operations.seen)
    return seen


@pytest.mark.parametrize("part", sorted(PARTS.keys() - MOVING.keys() - {"rmsprop"}))  # its tensors need a GPU
def test_steps_differ_in_the_content_of_tensors_alone(part: str) -> None:
    """What is recorded once is right for every step of the same strengths."""
    run = Run(trial(PARTS[part]), 3, splits("cpu"))
    first, *others = steps_seen(run, 4)
    assert len(first) > 20
    assert [first] * 3 == others


@pytest.mark.parametrize("part", PARTS)
def test_no_step_reads_a_number(part: str) -> None:
    """The host would wait for the device."""
    run = Run(trial(PARTS[part]), 3, splits("cpu"))
    run.step()
    with Operations() as operations:
        run.step()
    assert [] == [each for each in operations.seen if each.startswith(READS)]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("part", sorted(PARTS.keys() - {"cnn"}))
def test_torch_can_do_every_operation_deterministically(net: str, part: str) -> None:
    """On a GPU too, where it has no such way for some: training and scoring ask for none of these."""
    run = Run(trial(merge(PARTS[part], {"model": NETS[net]})), 3, enlarged(splits("cpu")))
    with Operations() as operations:
        run.step()
        run.evaluate()
    names = {each.partition("(")[0].split(".")[1] for each in operations.seen}
    assert len(names) > 20
    assert not names & WITHOUT_A_DETERMINISTIC_WAY


def test_an_operation_without_a_deterministic_way_is_seen() -> None:
    """Pooling to more than one place is such a one, where its gradient is taken."""
    with Operations() as operations:
        nn.AdaptiveAvgPool2d(2)(torch.ones(1, 1, 4, 4, requires_grad=True)).sum().backward()
    assert any("aten._adaptive_avg_pool2d_backward" in each for each in operations.seen)


def test_what_is_read_is_seen() -> None:
    """A penalty that asks for a number is found out, and so is a strength that moves."""
    run = Run(trial({}), 3, splits("cpu"))
    strengths = iter(range(1, 9))

    def asks(strength: float) -> None:
        [weight, *_] = run.model.parameters()
        assert weight.grad is not None
        weight.grad.mul_(1 - next(strengths) / 1000 if weight.grad.sum().item() != 0 else 1)

    run._regularizers["asks"], run._strengths["asks"] = Regularizer(on_gradients=asks), 1.0
    first, second = steps_seen(run, 2)
    assert [each for each in first if each.startswith(READS)]
    assert first != second


@on_a_gpu
@pytest.mark.parametrize("part", PARTS)
def test_bit_for_bit(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replayed, never recorded, and resumed in the middle of an epoch: the same weights and scores."""
    monkeypatch.setenv(VARIABLE, "1")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    here = splits("cuda")
    recorded = Run(trial(PARTS[part]), 3, here)
    replayed = trained(recorded)
    resumed = Run(trial(PARTS[part]), 3, here)
    for _ in range(40):
        resumed.step()
        if resumed.clock.at_epoch_end:
            resumed.evaluate()
    again = Run(trial(PARTS[part]), 3, here)
    again.restore(resumed.checkpoint())
    assert same(replayed, trained(again))
    monkeypatch.setattr("hpo.trainers.images.recorded_step.STEPS_BEFORE", 10**9)
    eager = Run(trial(PARTS[part]), 3, here)
    assert same(replayed, trained(eager))
    assert recorded._recorded is not None and recorded._recorded.is_recorded is (part not in MOVING)


@on_a_gpu
def test_the_device_is_not_waited_for() -> None:
    """No step reads a number from the device, recorded or not."""
    run = Run(trial(PARTS["cautious"] | {"clip_norm": 1.0}), 3, splits("cuda"))
    run.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            run.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
