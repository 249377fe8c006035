"""What a trial does to its training images at random; how it is done is in `augmentation`."""

from __future__ import annotations

from pydantic import Field

from hpo.spec import Spec


class Augment(Spec):
    """What is done to training images, in this order; nothing if left out. Noise is the regularizer `input_noise`."""

    crop: int = Field(default=0, ge=0, le=64)
    """Pixels of black around the image, out of which a window of the image's size is cut."""
    flip: bool = False
    """Mirror every other image, left to right."""
    rotate: float = Field(default=0.0, ge=0.0, le=180.0)
    """Turn by up to so many degrees either way; what comes in from outside is black."""
    cutout: int = Field(default=0, ge=0, le=1024)
    """Cover a square of so many pixels a side with the mean colour (DeVries and Taylor 2017)."""
