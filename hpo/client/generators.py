"""The generators that training draws from: Python's, and those of numpy and torch where these are imported."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any


def generators() -> dict[str, Any]:
    """The state of each, as numbers, texts and tensors."""
    version, state, gauss = random.getstate()
    found: dict[str, Any] = {"python": [version, list(state), gauss]}
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        kind, keys, *rest = numpy.random.get_state()
        found["numpy"] = [kind, keys.tolist(), *rest]
    if torch is not None:
        found["torch"] = torch.get_rng_state()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def set_generators(found: Mapping[str, Any]) -> None:
    """Go on from these states."""
    version, state, gauss = found["python"]
    random.setstate((version, tuple(state), gauss))
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and "numpy" in found:
        kind, keys, *rest = found["numpy"]
        numpy.random.set_state((kind, numpy.array(keys, dtype=numpy.uint32), *rest))
    if torch is not None and "torch" in found:
        torch.set_rng_state(found["torch"])
        if "cuda" in found and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(found["cuda"])
