"""Compiling a net, for trials that are long enough to be repaid."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from hpo.errors import MachineError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

COMPILERS = ("g++", "clang++", "c++")


def compiled(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """`model` through torch.compile, sharing its parameters; compiled at its first call.

    Raises:
        MachineError: torch needs a C++ compiler for it on a CPU, and there is none.
    """
    import torch

    if device.type == "cpu" and "CXX" not in os.environ and not any(map(shutil.which, COMPILERS)):
        raise MachineError(
            "the trial asks for compile = true, and this machine has no C++ compiler",
            hint="install one (Debian: g++), name it in CXX, or set trial.compile = false in a new study",
        )
    forward: Callable[[Tensor], Tensor] = torch.compile(model)
    return forward
