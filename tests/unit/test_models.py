"""The first two models: their sizes, their outputs and what their specs refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from hpo.train.models import Cnn, Mlp, Model

GREY, COLOUR = (1, 8, 8), (3, 32, 32)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("spec", "shape", "expected"),
    [
        (Mlp(hidden=(100, 100)), COLOUR, 318_410),
        (Mlp(hidden=()), COLOUR, 3072 * 10 + 10),
        (Mlp(hidden=(50,), batch_norm=True), GREY, 64 * 50 + 2 * 50 + 50 * 10 + 10),
        (Cnn(), COLOUR, (27 * 32 + 32) + (288 * 64 + 64) + (576 * 128 + 128) + (128 * 4 * 4 * 10 + 10)),
        (Cnn(), GREY, (9 * 32 + 32) + (288 * 64 + 64) + (576 * 128 + 128) + (128 * 10 + 10)),
        (Cnn(channels=(2, 3, 4), kernel=5), GREY, (25 * 2 + 2) + (50 * 3 + 3) + (75 * 4 + 4) + (4 * 10 + 10)),
    ],
)
def test_parameter_count(spec: Mlp | Cnn, shape: tuple[int, int, int], expected: int) -> None:
    """Each net has the parameters that its layers need."""
    assert expected == parameters(spec.build(shape, 10))


@pytest.mark.parametrize("shape", [GREY, COLOUR, (1, 3, 5), (2, 1, 1)])
@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh", "gelu"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_forward(shape: tuple[int, int, int], activation: Any, batch_norm: bool) -> None:
    """A batch of any image size gives finite numbers, one per class, and a gradient for every parameter."""
    for spec in (
        Mlp(hidden=(7, 5), activation=activation, batch_norm=batch_norm),
        Cnn(channels=(4, 5, 6), activation=activation, batch_norm=batch_norm),
    ):
        model = spec.build(shape, 3)
        outputs = model(torch.rand(4, *shape))
        assert (4, 3) == outputs.shape
        outputs.square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_dropout_waits_for_its_rate() -> None:
    """One follows each hidden layer of the MLP, one precedes the CNN's linear layer; none drops yet."""
    mlp, cnn = Mlp(hidden=(7, 5)).build(GREY, 3), Cnn().build(GREY, 3)
    names = [name for name, module in mlp.named_modules() if isinstance(module, nn.Dropout)]
    assert ["dropout1", "dropout2"] == names
    assert ["dropout", "output"] == [name for name, _ in cnn.named_children()][-2:]
    assert [0.0] * 3 == [m.p for net in (mlp, cnn) for m in net.modules() if isinstance(m, nn.Dropout)]


@pytest.mark.parametrize("spec", [Mlp(hidden=(7,)), Cnn()])
def test_initialization_follows_the_global_generator(spec: Mlp | Cnn) -> None:
    """The same seed gives the same weights, another seed others."""
    nets = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        nets.append(torch.cat([p.flatten() for p in spec.build(GREY, 3).parameters()]))
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "mlp", "hidden": [0]},
        {"kind": "mlp", "hidden": [65537]},
        {"kind": "mlp", "hidden": [1] * 33},
        {"kind": "mlp"},
        {"kind": "mlp", "hidden": [1], "activation": "swish"},
        {"kind": "cnn", "channels": [1, 2]},
        {"kind": "cnn", "kernel": 4},
        {"kind": "perceptron"},
    ],
)
def test_refused(given: dict[str, Any]) -> None:
    """Sizes out of bounds and unknown names are errors of the study file."""
    with pytest.raises(ValidationError):
        TypeAdapter(Model).validate_python(given)


def test_read_by_kind() -> None:
    """`kind` chooses the spec, and a spec survives the way through JSON."""
    adapter: TypeAdapter[Mlp | Cnn] = TypeAdapter(Model)
    spec = adapter.validate_python({"kind": "mlp", "hidden": [200]})
    assert Mlp(hidden=(200,)) == spec
    assert spec == adapter.validate_json(adapter.dump_json(spec))
