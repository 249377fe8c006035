"""What every regularizer does to gradients, weights and layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn
from torch.nn import functional

from hpo.errors import StudyFileError
from hpo.trainers.images.models import Cnn, Mlp
from hpo.trainers.images.regularizers import (
    L1,
    L2,
    CautiousWeightDecay,
    Dropout,
    InputNoise,
    LabelSmoothing,
    LHalf,
    ProximalL1,
    ProximalLHalf,
    Regularizer,
    RegularizerSpec,
    SparseGradient,
    Tikhonov,
    WeightDecay,
    decay,
    decay_groups,
    parameters,
)

SHAPE = (1, 4, 4)


def model(**options: Any) -> nn.Module:
    torch.manual_seed(3)
    return Mlp(hidden=(5, 4), **options).build(SHAPE, 3).double()


def loss(net: nn.Module) -> torch.Tensor:
    inputs = torch.linspace(-1, 1, 96, dtype=torch.float64).view(6, *SHAPE)
    return functional.cross_entropy(net(inputs), torch.tensor([0, 1, 2, 0, 1, 2]))


def test_which_parameters() -> None:
    """Weights are what has two dimensions or more: no biases; what is frozen never counts."""
    net = model(batch_norm=True)
    names = {id(p): name for name, p in net.named_parameters()}
    weights = ["linear1.weight", "linear2.weight", "output.weight"]
    assert weights == [names[id(p)] for p in parameters(net, "weights")]
    assert list(names.values()) == [names[id(p)] for p in parameters(net, "all")]
    net.get_parameter("linear1.weight").requires_grad_(False)
    assert weights[1:] == [names[id(p)] for p in parameters(net, "weights")]
    assert len(names) - 1 == len(parameters(net, "all"))


def test_parameters_by_name() -> None:
    """Patterns of dotted paths; one that finds nothing is said, with what there is."""
    net = model()
    names = {id(p): name for name, p in net.named_parameters()}
    found = parameters(net, ("linear?.weight", "*.bias"))
    assert ["linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias", "output.bias"] == [
        names[id(p)] for p in found
    ]
    with pytest.raises(StudyFileError, match="no parameter 'linear3") as raised:
        parameters(net, ("linear1.weight", "linear3.*"))
    assert "linear2.weight" in str(raised.value.hint)


def test_timescale() -> None:
    """The share of a trial of 200 steps at a rate of 0.05 over which weights average: 1 / (0.05 x 2 x 200)."""
    assert pytest.approx(2.0) == WeightDecay(timescale=0.05).base(0.05, 200)
    assert pytest.approx(2.0) == CautiousWeightDecay(timescale=0.05).base(0.05, 200)
    assert WeightDecay(strength=0.3).base(0.05, 200) == L2(strength=0.3).base(0.05, 200) == 0.3


#: the penalty on one tensor, as its docstring states it
PENALTIES: dict[str, tuple[Any, Callable[[torch.Tensor], torch.Tensor]]] = {
    "l1": (L1, lambda w: w.abs().sum()),
    "l_half": (LHalf, lambda w: (w.abs() + 1e-4).sqrt().sum()),
    "rounder": (partial(LHalf, epsilon=0.3), lambda w: (w.abs() + 0.3).sqrt().sum()),
    "tikhonov": (Tikhonov, torch.linalg.vector_norm),
}


@pytest.mark.parametrize("on", ["weights", "all"])
@pytest.mark.parametrize("strength", [0.0, 0.07, 3.0])
@pytest.mark.parametrize("kind", PENALTIES)
def test_the_gradient_of_a_penalty(kind: str, on: Any, strength: float) -> None:
    """Autograd of cross-entropy + strength x penalty gives the same gradients, at 0 and of a tensor of zeros too."""
    net, other = model(), model()
    for one in (net, other):
        one.get_parameter("linear1.weight").data[0] = 0.0
        one.get_parameter("linear2.weight").data.zero_()
        one.get_parameter("linear2.bias").data.zero_()
    spec, penalty = PENALTIES[kind]
    loss(net).backward()
    act = spec(strength=1.0, on=on).build(net, 0).on_gradients
    assert act is not None
    act(strength)

    (loss(other) + strength * sum((penalty(p) for p in parameters(other, on)), torch.zeros(()))).backward()
    for mine, autograd in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, autograd.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (L1(strength=2.0), [2.0, -2.0, 0.0]),
        (LHalf(strength=2.0, epsilon=1.0), [0.5, -0.4472135954999579, 0.0]),  # 1 / sqrt(4), 1 / sqrt(5)
        (Tikhonov(strength=2.0), [1.2, -1.6, 0.0]),  # the norm is 5
    ],
)
def test_penalties_by_hand(spec: Any, expected: list[float]) -> None:
    """Of the weights 3, -4 and 0, with strength 2, beside a gradient of 1."""
    net = nn.Linear(3, 1, bias=False).double()
    net.weight.data = torch.tensor([[3.0, -4.0, 0.0]], dtype=torch.float64)
    net.weight.grad = torch.ones(1, 3, dtype=torch.float64)
    spec.build(net, 0).on_gradients(2.0)
    assert pytest.approx([1.0 + value for value in expected], rel=1e-12) == net.weight.grad.flatten().tolist()


def test_tikhonov_of_very_small_weights() -> None:
    """Squares below the smallest number there is: the norm is 0 and so is the gradient, not infinite."""
    net = nn.Linear(3, 1, bias=False)
    net.weight.data.fill_(1e-30)
    net.weight.grad = torch.zeros(1, 3)
    act = Tikhonov(strength=1.0).build(net, 0).on_gradients
    assert act is not None
    act(1.0)
    assert [0.0] * 3 == net.weight.grad.flatten().tolist()


def test_what_takes_no_part_is_left_out() -> None:
    """A tensor without a gradient, as of a layer that the loss does not reach, stays without one."""
    net = nn.ModuleDict({"used": nn.Linear(2, 1), "idle": nn.Linear(2, 1)})
    net["used"](torch.ones(1, 2)).sum().backward()
    for spec in (L1(strength=0.1), Tikhonov(strength=0.1), LHalf(strength=0.1)):
        act = spec.build(net, 0).on_gradients
        assert act is not None
        act(0.1)
    assert net.get_parameter("used.weight").grad is not None
    assert net.get_parameter("idle.weight").grad is None


def test_groups_of_what_is_decayed_by_the_same() -> None:
    """Every parameter is in one group, which is decayed by the sum of the strengths of those that act on it."""
    net = nn.Linear(3, 2)
    regularizers = {
        "l2": L2(strength=0.1, on="all").build(net, 0),
        "l1": L1(strength=0.1).build(net, 0),
        "decay": WeightDecay(strength=0.1, coupled=True).build(net, 0),
    }
    groups = decay_groups(net, regularizers)
    optimizer = torch.optim.SGD(groups, lr=0.1)
    decay(optimizer, {"l2": 0.25, "l1": 8.0, "decay": 0.5})
    by_place = [(group["params"], group["decayed_by"], group["weight_decay"]) for group in optimizer.param_groups]
    assert [([net.weight], ("l2", "decay"), 0.75), ([net.bias], ("l2",), 0.25)] == by_place
    assert [0.0] == [group["weight_decay"] for group in torch.optim.SGD(decay_groups(net, {}), lr=0.1).param_groups]


@pytest.mark.parametrize("on", ["weights", "all"])
def test_weight_decay_shrinks_by_lr_times_strength(on: Any) -> None:
    """w <- w (1 - 0.5 x 0.2); the gradients stay as they are."""
    net = model()
    loss(net).backward()
    before = {name: (p.detach().clone(), p.grad) for name, p in net.named_parameters()}
    gradients = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    act = WeightDecay(strength=0.2, on=on).build(net, 0).on_weights
    assert act is not None
    act(0.2, 0.5)
    for name, p in net.named_parameters():
        shrunk = on == "all" or name.endswith("weight")
        torch.testing.assert_close(p.detach(), before[name][0] * (0.9 if shrunk else 1.0))
        assert p.grad is not None and torch.equal(gradients[name], p.grad)


def test_dropout_sets_every_rate() -> None:
    """Each dropout layer of the model, at once, and again when the strength moves."""
    for net, layers in (
        (Mlp(hidden=(5, 4, 3)).build(SHAPE, 3), 3),
        (Cnn(channels=(2, 2, 2)).build(SHAPE, 3), 1),
    ):
        change = Dropout(strength=0.5).build(net, 0).on_change
        assert change is not None
        for rate in (0.5, 0.25, 0.0):
            change(rate)
            assert [rate] * layers == [m.p for m in net.modules() if isinstance(m, nn.Dropout)]


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0])
def test_input_noise(strength: float) -> None:
    """Mean 0 and the stated standard deviation around the images, anew each time; the images stay as they are."""
    torch.manual_seed(0)
    inputs = torch.full((50, 1, 20, 20), 3.0)
    act = InputNoise(strength=1.0).build(model(), 0).on_inputs
    assert act is not None
    noisy, again = act(inputs, strength), act(inputs, strength)
    assert bool((inputs == 3.0).all())
    assert inputs.shape == noisy.shape
    assert noisy.mean().item() == pytest.approx(3.0, abs=0.015 * strength + 1e-6)  # 2 standard errors are 0.014
    assert noisy.std().item() == pytest.approx(strength, rel=0.02, abs=1e-6)
    assert torch.equal(noisy, again) == (strength == 0)


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.95])
def test_label_smoothing_is_that_of_torch(strength: float) -> None:
    """The same loss and the same gradient as with PyTorch's own option."""
    logits = torch.linspace(-3, 2, 24, dtype=torch.float64).sin().mul(4).view(6, 4)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    act = LabelSmoothing(strength=0.1).build(model(), 0).on_loss
    assert act is not None
    mine, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    smoothed = act(functional.cross_entropy(mine, labels), mine, strength)
    expected = functional.cross_entropy(theirs, labels, label_smoothing=strength)
    torch.testing.assert_close(smoothed, expected, rtol=1e-12, atol=0.0)
    smoothed.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-12, atol=1e-15)


def sparse(net: nn.Module, *shares: float, seed: int = 5, on: Any = "all") -> list[torch.Tensor]:
    """Which entries of each gradient are left after the strength has been each of `shares`, one after another."""
    built = SparseGradient(strength=0.5, on=on).build(net, seed)
    assert built.on_change is not None and built.on_loss_gradients is not None
    for share in shares:
        built.on_change(share)
    for p in net.parameters():
        p.grad = torch.full_like(p, 7.0)
    built.on_loss_gradients(shares[-1])
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    assert {0.0, 7.0} >= {value for gradient in gradients for value in gradient.unique().tolist()}
    return [gradient != 0 for gradient in gradients]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("on", ["weights", "all"])
def test_sparse_gradient(share: float, on: Any) -> None:
    """Of each tensor so many entries are zero, to the nearest whole one, and the others are as they were."""
    net = model()
    hidden = [round(share * p.numel()) if on == "all" or p.ndim > 1 else 0 for p in net.parameters()]
    assert hidden == [int((~left).sum()) for left in sparse(net, share, on=on)]


def test_the_same_masks_until_the_share_changes() -> None:
    """At every step, after a resume, and when a share returns; another seed or tensor has another mask."""
    net = model()
    first = sparse(net, 0.5)
    for same in (sparse(net, 0.5), sparse(net, 0.5, 0.5), sparse(net, 0.8, 0.0, 0.5), sparse(model(), 0.5)):
        assert all(map(torch.equal, first, same))
    assert not torch.equal(first[0], sparse(net, 0.5, seed=6)[0])
    square = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 20))
    assert not torch.equal(*sparse(square, 0.5)[::2])


def test_masks_are_nested() -> None:
    """As the share rises step by step, what was hidden stays hidden."""
    shares = [0.0, 0.01, 0.2, 0.21, 0.5, 0.8, 0.99]
    rising = [sparse(model(), *shares[: number + 1]) for number in range(len(shares))]
    for fewer, more in pairwise(rising):
        for left, still_left in zip(fewer, more, strict=True):
            assert (still_left <= left).all()
    for share, left in zip(shares, rising, strict=True):
        assert all(map(torch.equal, left, sparse(model(), 0.99, share))), "the same on the way down"


def test_what_is_hidden_is_random() -> None:
    """Over many seeds each entry is hidden as often as any other, whatever its place."""
    net = nn.Linear(4, 5)
    hidden = sum((~sparse(net, 0.4, seed=seed)[0]).float() for seed in range(500)) / 500
    assert pytest.approx(0.4, abs=0.09) == hidden.min().item()  # 4 standard deviations of 0.022
    assert pytest.approx(0.4, abs=0.09) == hidden.max().item()


@pytest.mark.parametrize(
    ("spec", "acts_on"),
    [
        (L2(strength=0.1), {"decays"}),
        (WeightDecay(strength=0.1), {"on_weights"}),
        (WeightDecay(strength=0.1, coupled=True), {"decays"}),
        (L1(strength=0.1), {"on_gradients"}),
        (LHalf(strength=0.1), {"on_gradients"}),
        (Tikhonov(strength=0.1), {"on_gradients"}),
        (ProximalL1(strength=0.1), {"on_step"}),
        (ProximalLHalf(strength=0.1), {"on_step"}),
        (Dropout(strength=0.1), {"on_change"}),
        (InputNoise(strength=0.1), {"on_inputs"}),
        (LabelSmoothing(strength=0.1), {"on_loss"}),
        (SparseGradient(strength=0.1), {"on_change", "on_loss_gradients"}),
    ],
)
def test_acts_only_there(spec: Any, acts_on: set[str]) -> None:
    """A regularizer is asked only where it does something."""
    built = spec.build(model(), 0)
    assert acts_on == {name for name in Regularizer.__dataclass_fields__ if getattr(built, name) is not None}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "l2"}, "Field required"),
        ({"kind": "l2", "strength": -1e-3}, "greater than or equal to 0"),
        ({"kind": "l2", "strength": float("nan")}, "finite"),
        ({"kind": "l2", "strength": 0.1, "on": "biases"}, "'weights' or 'all'"),
        ({"kind": "l2", "strength": 0.1, "ceiling": 3}, "unknown key 'ceiling'"),
        ({"kind": "dropout", "strength": 1.0}, "less than or equal to 0.95"),
        ({"kind": "dropout", "strength": 0.5, "on": "all"}, "unknown key 'on'"),
        ({"kind": "label_smoothing", "strength": 1.0}, "less than or equal to 0.95"),
        ({"kind": "sparse_gradient", "strength": 1.0}, "less than or equal to 0.99"),
        ({"kind": "l_half", "strength": 1.0, "epsilon": 0.0}, "greater than 0"),
        ({"kind": "input_noise", "strength": 0.1, "on": "all"}, "unknown key 'on'"),
        ({"kind": "weight_decay", "strength": 0.1, "policy": {"kind": "up"}}, "expected tags: 'hold', "),
        ({"kind": "weight_decay"}, "exactly one of `strength` and `timescale`"),
        ({"kind": "weight_decay", "strength": 0.1, "timescale": 0.1}, "exactly one of `strength` and `timescale`"),
        ({"kind": "weight_decay", "timescale": 0.0}, "greater than 0"),
        ({"kind": "weight_decay", "timescale": 0.1, "coupled": True}, "only decoupled decay has one"),
        ({"kind": "l2", "strength": 0.1, "on": []}, "at least 1 item"),
        ({"kind": "l3", "strength": 0.1}, "expected tags: 'weight_decay', "),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    """What is wrong, or what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(RegularizerSpec).validate_python(given)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_cautious_weight_decay(kind: str) -> None:
    """Beside the same step without it: lr x strength x w less where the step is toward 0, and nothing elsewhere."""
    net, alone = model(), model()
    alone.load_state_dict(net.state_dict())
    steps = []
    for each in (net, alone):
        build = torch.optim.SGD if kind == "sgd" else torch.optim.Adam
        optimizer = build(each.parameters(), lr=0.1)
        loss(each).backward()
        built = CautiousWeightDecay(strength=0.5).build(each, 0)
        assert built.on_step is not None
        before = [parameter.detach().clone() for parameter in each.parameters()]
        afterwards = built.on_step(0.5, 0.1) if each is net else lambda: None
        optimizer.step()
        afterwards()
        steps.append([parameter.detach() for parameter in each.parameters()])
    for began, with_decay, without in zip(before, *steps, strict=True):
        toward_zero = (began - without) * began >= 0
        decayed = toward_zero if began.ndim > 1 else torch.zeros_like(toward_zero)
        assert torch.allclose(without - 0.1 * 0.5 * began * decayed, with_decay, atol=1e-7)
        assert began.ndim == 1 or 0 < decayed.float().mean() < 1
