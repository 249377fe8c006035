"""The models: their sizes, their outputs, how their weights begin and what their specs refuse."""

from __future__ import annotations

import math
import sys
from datetime import date
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from pydantic import TypeAdapter, ValidationError
from torch import nn

from hpo.cli import cli
from hpo.errors import StudyFileError, TargetError, UserError
from hpo.trainers.images.models import Cnn, Custom, Initialization, Mlp, MobileNet, Model, Resnet

GREY, COLOUR = (1, 8, 8), (3, 32, 32)
OWN = "tests.unit.custom_models"


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
        (Resnet(depth=14), COLOUR, 172_506),
        (Resnet(depth=32), COLOUR, 464_154),
        (Resnet(depth=14, channels=8), COLOUR, 43_634),
        (Resnet(depth=32), GREY, 464_154 - 2 * 9 * 16),
        (MobileNet(), COLOUR, 3_309_476 - 90 * 1025),
        (MobileNet(width=0.25), COLOUR, 215_642),
        (MobileNet(width=0.01), COLOUR, 1_112),
        (MobileNet(other_blocks=(4, 5)), (3, 32, 64), 3_309_476 - 90 * 1025 + 1024 * 10),
    ],
)
def test_parameter_count(spec: Any, shape: tuple[int, int, int], expected: int) -> None:
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


@pytest.mark.parametrize("shape", [GREY, COLOUR, (1, 3, 5), (2, 1, 1)])
def test_resnet_forward(shape: tuple[int, int, int]) -> None:
    """It takes any size of image, and each of its parameters gets a gradient; the pixels' order in memory is free."""
    model = Resnet(depth=14).build(shape, 3).to(memory_format=torch.channels_last)
    images = torch.rand(4, *shape)
    outputs = model(images.contiguous(memory_format=torch.channels_last))
    assert (4, 3) == outputs.shape
    assert torch.allclose(outputs, model.to(memory_format=torch.contiguous_format)(images), atol=1e-4)
    outputs.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_resnet_shortcut_has_no_parameters() -> None:
    """With its convolutions at zero a block passes every second pixel on, and zeros in the channels that are new."""
    block = Resnet(depth=8).build(COLOUR, 3).stages[1][0].eval()
    for convolution in (block.conv1, block.conv2):
        nn.init.zeros_(convolution.weight)
    images = torch.rand(2, 16, 7, 7)
    outputs = block(images)
    assert (2, 32, 4, 4) == outputs.shape
    assert torch.equal(images[:, :, ::2, ::2], outputs[:, :16])
    assert 0.0 == outputs[:, 16:].abs().max()


def test_resnet_has_as_many_layers_as_it_says() -> None:
    """Convolutions and the linear layer are counted, as the paper does."""
    for depth in (8, 14, 32):
        modules = Resnet(depth=depth).build(COLOUR, 10).modules()
        assert depth == sum(isinstance(module, nn.Conv2d | nn.Linear) for module in modules)


@pytest.mark.parametrize("shape", [(3, 17, 17), COLOUR, (1, 24, 40)])
def test_mobilenet_forward(shape: tuple[int, int, int]) -> None:
    """From 17 x 17 pixels on: one number per class, and a gradient for every parameter."""
    model = MobileNet().build(shape, 3).to(memory_format=torch.channels_last)
    outputs = model(torch.rand(2, *shape).contiguous(memory_format=torch.channels_last))
    assert (2, 3) == outputs.shape
    outputs.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("shape", [GREY, (3, 16, 32), (3, 32, 16)])
def test_mobilenet_refuses_small_images(shape: tuple[int, int, int]) -> None:
    """The error says how large they must be, and how large they are."""
    with pytest.raises(StudyFileError, match=f"at least 17 x 17 pixels; these are {shape[1]} x {shape[2]}"):
        MobileNet().build(shape, 3)


def test_mobilenet_blocks() -> None:
    """Block 8 begins with the 3 x 3 convolution of 512 single channels; blocks 4 to 10 have another activation."""
    model = MobileNet(other_blocks=(4, 5, 6, 7, 8, 9, 10)).build(COLOUR, 100)
    assert 3_309_476 == parameters(model)
    assert (512, 1, 3, 3) == dict(model.named_parameters())["layers.8.conv1.weight"].shape
    assert (1, 1) == model.layers[8].conv1.stride
    sigmoid = [name for name, module in model.named_modules() if isinstance(module, nn.Sigmoid)]
    assert [f"layers.{block}.activation{side}" for block in range(4, 11) for side in (1, 2)] == sigmoid


def test_dropout_waits_for_its_rate() -> None:
    """One follows each hidden layer of the MLP, one precedes the linear layer of the others; none drops yet."""
    mlp, cnn = Mlp(hidden=(7, 5)).build(GREY, 3), Cnn().build(GREY, 3)
    names = [name for name, module in mlp.named_modules() if isinstance(module, nn.Dropout)]
    assert ["dropout1", "dropout2"] == names
    others = [cnn, Resnet(depth=8).build(GREY, 3), MobileNet().build(COLOUR, 3)]
    for net in others:
        assert ["dropout", "output"] == [name for name, _ in net.named_children()][-2:]
    assert [0.0] * 5 == [m.p for net in (mlp, *others) for m in net.modules() if isinstance(m, nn.Dropout)]


def truncated(std: float) -> float:
    """The standard deviation that a normal distribution has once it is cut off at two of its own."""
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    return std * math.sqrt(1 - 4 * density / math.erf(math.sqrt(2)))


@pytest.mark.parametrize(
    ("net", "layer", "m", "n"),
    [
        (Mlp(hidden=(300,)), "linear1", 3 * 32 * 32, 300),
        (Cnn(channels=(96, 160, 2), kernel=5), "conv2", 96 * 25, 160 * 25),
        (Resnet(depth=14), "stages.2.1.conv1", 64 * 9, 64 * 9),
        (MobileNet(), "layers.12.conv2", 1024, 1024),
        (MobileNet(), "layers.12.conv1", 9, 9),
    ],
    ids=["linear", "convolution 5 x 5", "convolution 3 x 3", "convolution 1 x 1", "depthwise"],
)
@pytest.mark.parametrize(
    ("init", "std", "bound"),
    [
        ({"kind": "glorot_uniform"}, lambda m, n: math.sqrt(2 / (m + n)), lambda m, n: math.sqrt(6 / (m + n))),
        ({"kind": "fan_in_uniform"}, lambda m, n: math.sqrt(1 / (3 * m)), lambda m, n: math.sqrt(1 / m)),
        ({"kind": "default"}, lambda m, n: math.sqrt(1 / (3 * m)), lambda m, n: math.sqrt(1 / m)),
        ({"kind": "he_normal"}, lambda m, n: math.sqrt(2 / m), None),
        ({"kind": "truncated_normal"}, lambda m, n: truncated(math.sqrt(1 / n)), lambda m, n: 2 * math.sqrt(1 / n)),
        ({"kind": "normal", "std": 1e-4}, lambda m, n: 1e-4, None),
    ],
    ids=lambda given: given["kind"] if isinstance(given, dict) else "",
)
def test_initialization(net: Any, layer: str, m: int, n: int, init: dict[str, Any], std: Any, bound: Any) -> None:
    """Weights have the mean 0, the standard deviation and the bound of their formula; biases are 0, save by default."""
    torch.manual_seed(3)
    built = type(net).model_validate({**net.model_dump(), "init": init}).build(COLOUR, 10)
    weight = built.get_submodule(layer).weight.detach()
    assert pytest.approx(std(m, n), rel=0.025) == weight.std().item()
    assert abs(weight.mean().item()) < 5 * std(m, n) / math.sqrt(weight.numel())
    if bound is not None:
        assert 0.99 * bound(m, n) < weight.abs().max().item() <= bound(m, n) * (1 + 1e-6)
    biases = [p for name, p in built.named_parameters() if name.endswith("bias") and "norm" not in name]
    assert all((init["kind"] == "default") == bool(bias.any()) for bias in biases)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (1.0, 0.0) == (module.weight.min().item(), module.bias.abs().max().item())


def test_initialization_by_default() -> None:
    """It is the paper's for the residual net, and PyTorch's own for the others."""
    assert ["default", "default", "he_normal", "default"] == [
        spec.init.kind for spec in (Mlp(hidden=()), Cnn(), Resnet(depth=8), MobileNet())
    ]


@pytest.mark.parametrize("given", [{"kind": "normal"}, {"kind": "normal", "std": 0.0}, {"kind": "he"}, "he_normal"])
def test_initialization_refused(given: Any) -> None:
    """A normal distribution needs a width, and a kind is a table's."""
    with pytest.raises(ValidationError):
        TypeAdapter(Initialization).validate_python(given)


@pytest.mark.parametrize("allowed", ["tests", "tests.unit", OWN, f"other, {OWN},"])
def test_custom_net(allowed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who names the module or a package above it lets the function build the net, from its own copy."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", allowed)
    spec = Custom(target=f"{OWN}:net", args={"sizes": [7, 5]})
    for _ in range(2):
        model = spec.build(GREY, 3)
        assert (64 * 7 + 7) + (7 * 5 + 5) + (5 * 3 + 3) == parameters(model)
        assert (4, 3) == model(torch.rand(4, *GREY)).shape


@pytest.mark.parametrize(
    ("allowed", "permitted"),
    [
        (None, "no modules for"),
        ("", "no modules for"),
        (",", "no modules for"),
        ("os,test", "os, test$"),
        (f"{OWN}2", OWN),
    ],
)
def test_custom_net_not_allowed(allowed: str | None, permitted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported that is not named; the hint adds the module to those that are."""
    monkeypatch.delenv("HPO_CUSTOM_TARGETS", raising=False)
    if allowed is not None:
        monkeypatch.setenv("HPO_CUSTOM_TARGETS", allowed)
    monkeypatch.delitem(sys.modules, OWN, raising=False)
    with pytest.raises(TargetError, match=f"may not import {OWN}; it may import {permitted}") as refused:
        Custom(target=f"{OWN}:net").build(GREY, 3)
    assert OWN not in sys.modules
    assert refused.value.hint.endswith(OWN)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{OWN}:nothing", "can't be imported: module 'tests.unit.custom_models' has no attribute 'nothing'"),
        ("tests.no_such_module:net", "can't be imported: No module named 'tests.no_such_module'"),
        (f"{OWN}:no_net", "must return a torch.nn.Module, not '.1, 8, 8. 3'"),
    ],
)
def test_custom_net_broken(target: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is missing, or that returns something else, is named."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "tests")
    with pytest.raises(UserError, match=message):
        Custom(target=target).build(GREY, 3)


def test_custom_net_is_not_imported_by_a_check(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study file that names a module can be read where that module is neither allowed nor installed."""
    monkeypatch.delenv("HPO_CUSTOM_TARGETS", raising=False)
    (tmp_path / "touched.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "study.toml"
    file.write_text(
        """
        name = "own-net"
        title = "A net of one's own"
        [trial]
        epochs = 1
        batch_size = 32
        data = { kind = "digits" }
        model = { kind = "custom", target = "touched:build", args = { width = 3, sizes = [1, 2] } }
        optimizer = { kind = "sgd" }
        lr = { kind = "constant", peak = 0.1 }
        [protocol]
        budget = { trials = 2 }
        [arms.one]
        sampler = { kind = "random" }
        search."lr.peak" = { low = 0.1, high = 0.2 }
        search."model.args.width" = { low = 1, high = 4 }
        """
    )
    result = CliRunner().invoke(cli, ["check", str(file)])
    assert (0, True) == (result.exit_code, "model.args.width" in result.stdout), result.output
    assert "touched" not in sys.modules


@pytest.mark.parametrize("spec", [Mlp(hidden=(7,)), Cnn(), Resnet(depth=8), Cnn(init={"kind": "truncated_normal"})])
def test_initialization_follows_the_global_generator(spec: Any) -> None:
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
        {"kind": "resnet"},
        {"kind": "resnet", "depth": 2},
        {"kind": "resnet", "depth": 15},
        {"kind": "mobilenet", "other_blocks": [13]},
        {"kind": "mobilenet", "other_blocks": [-1]},
        {"kind": "custom"},
        {"kind": "custom", "target": "my_package.models"},
        {"kind": "custom", "target": "my_package.models:"},
        {"kind": "custom", "target": ":build"},
        {"kind": "custom", "target": ".models:build"},
        {"kind": "custom", "target": "my_package:models.build"},
        {"kind": "custom", "target": "my-package:build"},
        {"kind": "custom", "target": "my_package:build()"},
        {"kind": "custom", "target": "a:b", "args": {"classes": 3}},
        {"kind": "custom", "target": "a:b", "args": {"when": date(2020, 1, 1)}},
        {"kind": "custom", "target": "a:b", "args": {"sizes": [1.0, float("nan")]}},
        {"kind": "perceptron"},
    ],
)
def test_refused(given: dict[str, Any]) -> None:
    """Sizes out of bounds, unknown names and what is no MODULE:FUNCTION are errors of the study file."""
    with pytest.raises(ValidationError):
        TypeAdapter(Model).validate_python(given)


def test_depth_refused_with_the_nearest() -> None:
    """Whoever writes another depth is told which there are."""
    with pytest.raises(ValidationError, match="31 is not 6n \\+ 2: the nearest depths are 26 and 32"):
        Resnet(depth=31)


def test_read_by_kind() -> None:
    """`kind` chooses the spec, and a spec survives the way through JSON."""
    adapter: TypeAdapter[Any] = TypeAdapter(Model)
    for given, expected in (
        ({"kind": "mlp", "hidden": [200]}, Mlp(hidden=(200,))),
        ({"kind": "mobilenet", "other_blocks": [4, 5]}, MobileNet(other_blocks=(4, 5))),
        ({"kind": "custom", "target": "a.b:c", "args": {"x": [1, {"y": None}]}}, {"x": [1, {"y": None}]}),
    ):
        spec = adapter.validate_python(given)
        assert expected == (spec.args if isinstance(spec, Custom) else spec)
        assert spec == adapter.validate_json(adapter.dump_json(spec))
