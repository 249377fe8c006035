"""Models: a frozen spec with `kind` and the verb `build(shape, classes) -> nn.Module`.

The union `Model` is the registry. Weights start as PyTorch initializes them, from its global random
generator, which the caller seeds.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo.train.models.cnn import Cnn
from hpo.train.models.mlp import Mlp

Model = Annotated[Mlp | Cnn, Field(discriminator="kind")]

__all__ = ["Cnn", "Mlp", "Model"]
