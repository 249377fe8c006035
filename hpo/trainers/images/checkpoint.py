"""The state of a trial on images as bytes: tensors, numbers and strings only, so that reading it can't run code."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from hpo.errors import CheckpointError
from hpo.trainers.moving.clock import Score
from hpo.trainers.sealed import opened, sealed

VERSION = 5
"""The version of what a state holds."""


def packed(state: Mapping[str, Any]) -> bytes:
    """A state, with the version of its form."""
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **state}, buffer)
    return sealed(buffer.getvalue())


def unpacked(kept: bytes) -> dict[str, Any]:
    """The state again, on the CPU.

    Raises:
        CheckpointError: it is damaged, or of another version.
    """
    content = opened(kept)
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        version = state["version"]
    except Exception as error:  # torch raises many kinds for what it can't read, none of which helps the caller
        raise CheckpointError(f"the checkpoint can't be read ({type(error).__name__})") from error
    if version != VERSION:
        raise CheckpointError(f"the checkpoint has version {version}; this hpo uses version {VERSION}")
    return state


def numbers_of(measured: Score | None) -> list[float] | None:
    """A score as a state holds it."""
    return None if measured is None else [measured.loss, measured.accuracy]


def score_of(kept: list[float] | None) -> Score | None:
    """The score again."""
    return None if kept is None else Score(*kept)
