"""An optimizer step on a GPU, recorded once and replayed: the host then launches one thing in place of hundreds.

A small net's step is a hundred kernels of a few microseconds each, which the host can't launch as fast as the GPU runs
them. A recorded step (a CUDA graph) runs the same kernels on the same tensors, so what changes from step to step must
be the content of tensors: the images chosen, what is done to them, and the learning rate. Everything else that a step
depends on is its key; once the key has been the same for some steps, the step is recorded, and taken anew when it
changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from hpo.trainers.images.batches import Chosen

VARIABLE = "HPO_RECORDED_STEPS"
"""Set to 1 it records steps on GPUs; by itself it does not until a GPU has shown that nothing is lost."""
STEPS_BEFORE = 8
"""Steps of one key that are taken before it is recorded: a key that moves at every step is never worth it, and
libraries get what they need at their first calls, which can't be recorded."""


def records(device: torch.device) -> bool:
    """Whether steps on this device are to be recorded."""
    return device.type == "cuda" and os.environ.get(VARIABLE) == "1"


class RecordedStep:
    """Takes optimizer steps through `train`, recorded where that pays."""

    def __init__(self, train: Callable[[Chosen, Tensor], None], device: torch.device) -> None:
        self._train = train
        self._lr = torch.zeros((), device=device)
        self._key: Hashable = None
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._chosen: Chosen | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether the coming step, if its key is the last one's, is replayed."""
        return self._graph is not None

    def step(self, key: Hashable, chosen: Chosen, lr: float) -> None:
        """Train on `chosen` with the learning rate `lr`; the same `key` promises that nothing else differs."""
        if key != self._key:
            self._key, self._taken, self._graph, self._chosen = key, 0, None, None
        # Filled also for a step that is not replayed: a number on the host would be rounded elsewhere.
        self._lr.fill_(lr)
        if self._graph is None and self._taken < STEPS_BEFORE:
            self._taken += 1
            self._train(chosen, self._lr)
            return
        if self._graph is None or self._chosen is None:
            self._graph, self._chosen = self._record(chosen)
        self._chosen.copy_(chosen)
        self._graph.replay()

    def _record(self, chosen: Chosen) -> tuple[torch.cuda.CUDAGraph, Chosen]:
        kept = chosen.clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._train(kept, self._lr)
        return graph, kept
