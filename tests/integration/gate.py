"""A trial that is disturbed in its middle for certain, on fast and slow machines: it dawdles until a file is there."""

from __future__ import annotations

import time
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor, nn

PAUSE = 0.04
"""Seconds that each forward pass takes longer in front of a closed gate."""
EPOCHS = 60


class _Dawdling(nn.Module):
    def __init__(self, gate: Path) -> None:
        super().__init__()
        self._gate = gate

    def forward(self, inputs: Tensor) -> Tensor:
        if not self._gate.exists():
            time.sleep(PAUSE)
        return inputs


def net(shape: tuple[int, int, int], classes: int, file: str) -> nn.Module:
    """The perceptron of the tests behind a gate that opens when there is a `file`."""
    layers = {
        "gate": _Dawdling(Path(file)),
        "flatten": nn.Flatten(),
        "hidden": nn.Linear(prod(shape), 16),
        "relu": nn.ReLU(),
        "dropout": nn.Dropout(p=0.0),
        "output": nn.Linear(16, classes),
    }
    return nn.Sequential(OrderedDict(layers))


class Gate:
    """Closed at first."""

    def __init__(self, file: Path) -> None:
        self._file = file
        target = f"{net.__module__}:{net.__name__}"
        self.trial: dict[str, Any] = {
            "epochs": EPOCHS,
            "data": {"train_limit": 400},
            "model": {"kind": "custom", "target": target, "args": {"file": str(file)}},
        }
        """Laid over the tests' trial: over half a second an epoch, or a few milliseconds when the gate is open."""

    def open(self) -> None:
        """Let all trials go on at full speed."""
        self._file.touch()
