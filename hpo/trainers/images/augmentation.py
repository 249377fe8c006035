"""Augmentation: training images shifted, mirrored, turned and covered at random, in batches on the device.

What is done to an image is drawn for a whole epoch at once, from (seed, epoch) alone, so a resumed trial sees the very
same images. Cropping and mirroring cost one gather from a padded and mirrored copy of the images; their distribution is
that of torchvision's RandomCrop(size, padding) and RandomHorizontalFlip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from hpo.seeds import derive
from hpo.trainers.images.augment import Augment
from hpo.trainers.images.data.images import Images

AT_ONCE = 1024
"""Images that are padded together: mirrored, they lie in memory a second time meanwhile."""


@dataclass(frozen=True, slots=True)
class Draws:
    """What is done to the images of one epoch, by their place in its order; each (N,), on the device."""

    flip: Tensor
    """0 or 1."""
    down: Tensor
    """Offset of the window, 0 to 2 x crop."""
    right: Tensor
    angle: Tensor
    """Radians."""
    centre_y: Tensor
    """The side of the covered square, as a share of the image's side, 0..1."""
    centre_x: Tensor

    def part(self, part: slice) -> Draws:
        """Those of a part of the images."""
        return Draws(*(each[part] for each in self._tensors()))

    def clone(self) -> Draws:
        """A copy in memory of its own."""
        return Draws(*(each.clone() for each in self._tensors()))

    def copy_(self, other: Draws) -> None:
        """Overwrite these, of as many images."""
        for mine, theirs in zip(self._tensors(), other._tensors(), strict=True):
            mine.copy_(theirs)

    def _tensors(self) -> tuple[Tensor, ...]:
        return (self.flip, self.down, self.right, self.angle, self.centre_y, self.centre_x)


def draw(augment: Augment, count: int, seed: int, epoch: int, device: torch.device) -> Draws:
    """The draws for the `count` images of an epoch; each kind has a stream of its own."""

    def stream(name: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive(seed, "augment", name, epoch))

    def whole(name: str, below: int) -> Tensor:
        return torch.randint(below, (count,), generator=stream(name)).to(device)

    def share(name: str) -> Tensor:
        return torch.rand(count, generator=stream(name)).to(device)

    return Draws(
        flip=whole("flip", 2 if augment.flip else 1),
        down=whole("down", 2 * augment.crop + 1),
        right=whole("right", 2 * augment.crop + 1),
        angle=(2 * share("angle") - 1) * math.radians(augment.rotate),
        centre_y=share("centre_y"),
        centre_x=share("centre_x"),
    )


class Windows:
    """Every window of the size of an image, of all images padded and mirrored: uint8 (N, C, H, W) as they came.

    Kept are the padded images alone, flat. A row of a window is W bytes in a line there, wherever it begins, so windows
    are gathered row by row: six times as fast on a CPU as indexing a view of all windows, which goes byte by byte.
    """

    def __init__(self, inputs: Tensor, augment: Augment) -> None:
        self._count, channels, height, width = inputs.shape
        self._shape = (channels, height, width)
        high, wide, inside = height + 2 * augment.crop, width + 2 * augment.crop, slice(augment.crop, None)
        padded = inputs.new_zeros(2 if augment.flip else 1, self._count, channels, high, wide)
        for begin in range(0, self._count, AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            window = padded[:, part, :, inside, inside][..., :height, :width]
            window[0] = inputs[part]
            if augment.flip:
                window[1] = inputs[part].flip(-1)
        self._rows = padded.view(-1).unfold(0, width, 1)
        self._strides = (channels * high * wide, wide)
        of_channels = torch.arange(channels, device=inputs.device) * (high * wide)
        of_rows = torch.arange(height, device=inputs.device) * wide
        self._offsets = (of_channels[:, None] + of_rows).view(-1)

    def __call__(self, chosen: Tensor, flip: Tensor, down: Tensor, right: Tensor) -> Tensor:
        """The windows (B, C, H, W) of the images `chosen`, mirrored or not, at these offsets; each argument (B,)."""
        image, row = self._strides
        first = (flip * self._count + chosen) * image + down * row + right
        return self._rows.index_select(0, (first[:, None] + self._offsets).view(-1)).view(-1, *self._shape)


def windows_of(images: Images, augment: Augment) -> Windows:
    """The windows of these images, which are kept with them: the next trial on them is likely to want the same ones."""
    wanted = Windowed(augment.crop, augment.flip)
    if wanted not in images.made:
        # Of one kind alone, and the former one is gone before: there may be no room for both.
        for former in [key for key in images.made if isinstance(key, Windowed)]:
            del images.made[former]
        images.made[wanted] = Windows(images.inputs, augment)
    return cast(Windows, images.made[wanted])


@dataclass(frozen=True, slots=True)
class Windowed:
    """How images are padded and mirrored for windows."""

    crop: int
    flip: bool


def turned(inputs: Tensor, angle: Tensor) -> Tensor:
    """Floating-point images (B, C, H, W), each turned by its angle (B,) about its centre, bilinearly."""
    height, width = inputs.shape[-2:]
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # In coordinates of -1..1 a pixel is as high as wide only if the image is square.
    rows = [cos, -sin * height / width, zero, sin * width / height, cos, zero]
    grid = functional.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(inputs.shape), align_corners=False)
    return functional.grid_sample(inputs, grid, align_corners=False)


def covered(inputs: Tensor, side: int, centre_y: Tensor, centre_x: Tensor) -> Tensor:
    """Normalized images with a square of 0, the mean colour, at each centre; it may reach over the edge."""
    height, width = inputs.shape[-2:]

    def band(centre: Tensor, length: int) -> Tensor:
        first = (centre * length).floor()[:, None] - side // 2
        place = torch.arange(length, device=inputs.device)
        return (place >= first) & (place < first + side)

    hole = band(centre_y, height)[:, None, :, None] & band(centre_x, width)[:, None, None, :]
    return inputs.masked_fill(hole, 0.0)
