"""The digits as training sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from hpo.trainers.images.data import Digits, Splits, split


def digits(source: Mapping[str, Any], *, with_test: bool = False) -> Splits:
    """Split and on the CPU, as a study file's `data` says."""
    described = Digits.model_validate(source)
    return split(described.load(), described, with_test=with_test, device=torch.device("cpu"))


def enlarged(splits: Splits) -> Splits:
    """Each pixel as 3 x 3: MobileNet takes no smaller images."""
    train, validation, test = (
        images
        and replace(images, inputs=images.inputs.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3), made={})
        for images in (splits.train, splits.validation, splits.test)
    )
    return replace(splits, train=train, validation=validation, test=test)
