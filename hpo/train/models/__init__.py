"""Models: a frozen spec with `kind` and the verb `build(shape, classes) -> nn.Module`.

The union `Model` is the registry. Weights are drawn from torch's global generator, which the caller seeds.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo.train.models.cnn import Cnn
from hpo.train.models.custom import Custom
from hpo.train.models.initializations import Initialization
from hpo.train.models.mlp import Mlp
from hpo.train.models.mobilenet import MobileNet
from hpo.train.models.resnet import Resnet

Model = Annotated[Mlp | Cnn | Resnet | MobileNet | Custom, Field(discriminator="kind")]

__all__ = ["Cnn", "Custom", "Initialization", "Mlp", "MobileNet", "Model", "Resnet"]
