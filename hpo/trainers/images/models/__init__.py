"""Models: a frozen spec with `kind` and the verb `build(shape, classes) -> nn.Module`.

`recordable` says whether a training step of it may be recorded (see `hpo.trainers.images.recorded_step`): it does the
same at every step, and reads nothing from the device. The union `Model` is the registry. Weights are drawn from
torch's global generator, which the caller seeds.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo.trainers.images.models.cnn import Cnn
from hpo.trainers.images.models.custom import Custom
from hpo.trainers.images.models.initializations import Initialization
from hpo.trainers.images.models.mlp import Mlp
from hpo.trainers.images.models.mobilenet import MobileNet
from hpo.trainers.images.models.resnet import Resnet

Model = Annotated[Mlp | Cnn | Resnet | MobileNet | Custom, Field(discriminator="kind")]

__all__ = ["Cnn", "Custom", "Initialization", "Mlp", "MobileNet", "Model", "Resnet"]
