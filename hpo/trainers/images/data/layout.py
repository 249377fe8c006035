"""The order of an image's axes: channels first, as training has them, or last, as most of NumPy's world has them.

(N, 8, 8, 3) is a batch of 8 x 8 colour images to NumPy and Pillow, and of images with 8 channels of 8 x 3 pixels to
PyTorch. Nothing fails if it is misread, so what is evidently meant the other way is refused.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from hpo.errors import DataError

Layout = Literal["NCHW", "NHWC"]

CHANNELS = (1, 3, 4)
"""Channels of grey, colour, and colour with transparency: what an image of any tool has."""


def channels_first(inputs: np.ndarray[Any, Any], layout: Layout | None, name: str) -> np.ndarray[Any, Any]:
    """`inputs` as (N, C, H, W), whatever their layout; (N, H, W) becomes (N, 1, H, W). `name` is for errors.

    Raises:
        DataError: the shape evidently has another layout than is said, or than is meant where nothing is said.
    """
    if inputs.ndim == 3:
        return inputs[:, None]
    second, last = (inputs.shape[axis] in CHANNELS for axis in (1, 3))
    if layout is None and last and not second:
        raise DataError(
            f"{name} has the shape {inputs.shape}, which looks like (N, H, W, C)",
            hint='set `layout = "NHWC"` in the study\'s data, or convert it with inputs.transpose(0, 3, 1, 2); '
            'if it is (N, C, H, W) already, set `layout = "NCHW"`',
        )
    if layout == "NHWC" and second and not last:
        raise DataError(
            f'{name} has the shape {inputs.shape}, which looks like (N, C, H, W), not `layout = "NHWC"`',
            hint='set `layout = "NCHW"` in the study\'s data, or leave it out',
        )
    return inputs.transpose(0, 3, 1, 2) if layout == "NHWC" else inputs
