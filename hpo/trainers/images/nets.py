"""Trained nets outside of a study: the file that `hpo fetch` writes, and a net read from it, ready for images."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hpo.errors import CheckpointError
from hpo.trainers.images.batches import Normalize
from hpo.trainers.images.trial import TrialSpec

FORMAT = 1


def packed(weights: bytes, trial: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
    """The content of the file: the weights, the trial that made them, and what is known of it.

    Torch's format, with tensors, numbers, texts, lists and dicts only, so that reading it can't run code.

    Raises:
        CheckpointError: the weights can't be read.
    """
    state = _read(io.BytesIO(weights), "the stored weights")
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **about, "trial": dict(trial), **state}, buffer)
    return buffer.getvalue()


class Net(nn.Module):
    """A trained net that takes images as they are: uint8 (B, C, H, W), 0 to 255."""

    def __init__(self, net: nn.Module, normalize: Normalize, about: Mapping[str, Any]) -> None:
        super().__init__()
        self.net = net
        self.about = about
        """The study, arm, seed, epochs, metrics and trial that it comes from."""
        self._normalize = normalize

    def forward(self, images: Tensor) -> Tensor:
        """The logits, (B, classes)."""
        logits: Tensor = self.net(self._normalize(images))
        return logits


def load_net(file: str | Path) -> Net:
    """The net in a file that `hpo fetch` has written, on the CPU and in evaluation mode.

    Raises:
        CheckpointError: it is no such file.
        OSError: it can't be read.
    """
    state = _read(io.BytesIO(Path(file).read_bytes()), str(file))
    if state.get("format") != FORMAT:
        raise CheckpointError(f"{file} was not written by `hpo fetch`, or was written by a newer hpo")
    shape, mean, std = tuple(state["shape"]), state["mean"], state["std"]
    net = TrialSpec.model_validate(state["trial"]).model.build(shape, state["classes"])
    net.load_state_dict(state["model"])
    about = {name: value for name, value in state.items() if name not in ("model", "mean", "std", "format")}
    return Net(net, Normalize.by(mean, std, shape), about).eval()


def _read(content: io.BytesIO, what: str) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for what it can't read, none of which helps the caller
        raise CheckpointError(f"{what} can't be read ({type(error).__name__})") from error
    return state
