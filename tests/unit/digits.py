"""The digits as training sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hpo.trainers.images.data import Digits, Splits, split


def digits(source: Mapping[str, Any], *, with_test: bool = False) -> Splits:
    """Split and on the CPU, as a study file's `data` says."""
    described = Digits.model_validate(source)
    return split(described.load(), described, with_test=with_test, device=torch.device("cpu"))
