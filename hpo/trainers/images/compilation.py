"""Compiling a net, for trials that are long enough to be repaid; and what that costs, for the log."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpo.errors import MachineError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

log = logging.getLogger(__name__)

COMPILERS = ("g++", "clang++", "c++")
MOST_KEPT = 4
"""Graphs compiled for earlier trials that are kept for a later one of the same net. torch compiles eight versions of a
net, counts those of all trials of a process together, and trains whatever comes after them uncompiled."""
GIVEN_UP = "limit exceeded"
"""What torch's reason says for not compiling once it has compiled too often."""


def compiled(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """`model` through torch.compile, sharing its parameters; compiled at its first call.

    Raises:
        MachineError: torch needs a C++ compiler for it on a CPU, and there is none.
    """
    import torch
    from torch._dynamo.utils import counters

    if device.type == "cpu" and "CXX" not in os.environ and not any(map(shutil.which, COMPILERS)):
        raise MachineError(
            "the trial asks for compile = true, and this machine has no C++ compiler",
            hint="install one (Debian: g++), name it in CXX, or set trial.compile = false in a new study",
        )
    if _graphs() > MOST_KEPT:
        torch.compiler.reset()
        counters.clear()
    forward: Callable[[Tensor], Tensor] = torch.compile(model)
    return forward


class CompilationLog:
    """Says in the log how long the first step of a trial took, and, once, that torch has given up compiling."""

    def __init__(self) -> None:
        self._steps = 0
        self._times_compiled = 0
        self._seconds = 0.0
        self._gives_up = False

    @contextmanager
    def step(self) -> Iterator[None]:
        """Watch an optimizer step, in which torch compiles what it has not met yet."""
        graphs, began = _graphs(), time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        self._steps += 1
        if _graphs() > graphs:
            self._times_compiled += 1
            self._seconds += seconds
        if self._steps == 1:
            what = "compiled the network" if self._times_compiled else "reused the network that was compiled before"
            log.info("compile = true: the first step, which %s, took %.1f seconds", what, seconds)
        if not self._gives_up and _has_given_up():
            self._gives_up = True
            log.warning(
                "compile = true: torch has compiled the network in %d steps, which took %.1f seconds, and gives up: "
                "what changes from here on is trained uncompiled; a value that torch compiles in keeps changing, such "
                "as the share of a dropout that a policy moves",
                self._times_compiled,
                self._seconds,
            )


def _graphs() -> int:
    """How many graphs this process has compiled."""
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


def _has_given_up() -> bool:
    from torch._dynamo.utils import counters

    return any(GIVEN_UP in reason for reason in counters["unimplemented"])
