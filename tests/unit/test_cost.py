"""What nets cost, against numbers worked out by hand and printed ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hpo.trainers.images.cost import Cost, cost
from hpo.trainers.images.models import Mlp, MobileNet


def test_a_convolution_and_a_linear_layer() -> None:
    """3 x 3 from 2 to 5 channels on 6 x 4 pixels without a border, then all 4 x 2 x 5 numbers to 7 classes."""
    net = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(40, 7))
    found = cost(net, (2, 6, 4))
    assert found.parameters == (90 + 5) + 10 + (280 + 7)
    assert found.multiply_adds == 8 * 90 + 280
    assert not found.is_separated
    assert net.training and not list(net[0]._forward_hooks), "it is left as it was"


def test_a_separated_convolution() -> None:
    """Of 4 channels by themselves, then to N = 6, on 5 x 5 pixels: 1/N + 1/9 of a whole one (Howard et al. 2017)."""
    net = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1, bias=False)
    )
    found = cost(net, (4, 5, 5))
    assert found == Cost(
        parameters=36 + 8 + 24,
        multiply_adds=25 * (36 + 24),
        whole_parameters=216 + 8,
        whole_multiply_adds=25 * 216,
    )
    assert found.multiply_adds / found.whole_multiply_adds == pytest.approx(1 / 6 + 1 / 9)


def test_nets_of_studies() -> None:
    """An MLP by hand; MobileNet for ImageNet has what the paper's table 4 says, with whole convolutions too."""
    torch.manual_seed(0)
    found = cost(Mlp(hidden=(100, 50)).build((3, 32, 32), 10), (3, 32, 32))
    assert found.parameters == (3072 * 100 + 100) + (100 * 50 + 50) + (50 * 10 + 10)
    assert found.multiply_adds == 307_200 + 5_000 + 500
    # With a stride of 1 in the first layer images of 112 pixels are what those of 224 are there; its pool is over all.
    net = MobileNet().build((3, 112, 112), 1000)
    found = cost(net, (3, 112, 112))
    head = net.output.in_features * 1000
    assert (found.multiply_adds - head + 1024 * 1000) / 1e6 == pytest.approx(568, rel=0.01)
    assert (found.parameters - head + 1024 * 1000) / 1e6 == pytest.approx(4.2, rel=0.01)
    assert (found.whole_multiply_adds - head + 1024 * 1000) / 1e6 == pytest.approx(4866, rel=0.01)
    assert (found.whole_parameters - head + 1024 * 1000) / 1e6 == pytest.approx(29.3, rel=0.01)
