"""What a trial does to its training images at random; how it is done is in `augmentation`."""

from __future__ import annotations

from pydantic import Field

from hpo.spec import Spec


class Augment(Spec):
    """Changes to the training images, in this order; none if left out. For noise use the regularizer `input_noise`."""

    crop: int = Field(default=0, ge=0, le=64)
    """Pixels of black padding around the image, from which a window of the image's size is cut at random."""
    flip: bool = False
    """Mirror half of the images, chosen at random, left to right."""
    rotate: float = Field(default=0.0, ge=0.0, le=180.0)
    """The largest rotation in degrees, in either direction; pixels from outside the image are black."""
    cutout: int = Field(default=0, ge=0, le=1024)
    """The side in pixels of a square that is covered with the mean colour (DeVries and Taylor 2017)."""
