"""Decoding: the way from image files to pixels, on several threads.

Only the formats of the known suffixes are tried, whatever a file is called: for some of the others Pillow would start a
program. An image of millions of pixels in a file of some kilobytes is refused before it is decoded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import DataError
from hpo.process.pulse import Interrupted
from hpo.trainers.images.data.files import open_regular
from hpo.trainers.images.data.room import check_room
from hpo.trainers.images.data.waiting import result

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Pillow's names of what has these suffixes; its PPM is PGM too."""
MOST_PIXELS = 80_000_000
"""The most pixels of one image: less than that from which on Pillow itself warns of an attack."""
MOST_THREADS = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One image."""

    rgb: np.ndarray[Any, Any]
    """uint8 (3, H, W)."""
    grey: bool
    transparent: bool


def decode(files: Sequence[Path], size: int | None) -> np.ndarray[Any, Any]:
    """The pixels of all files, uint8 (N, 3, H, W), or (N, 1, H, W) if all are grey.

    With a `size`, images of any shape become squares of it: the shorter side is resized to it, the longer one cut.

    Raises:
        DataError: a file is not an image, too large, or of another size than the first.
        Interrupted: inside `pulse.interruptible`, once a stop is asked for.
    """
    _log.info("decoding %d images", len(files))
    shape = _read(files[0], size).rgb.shape
    height, width = shape[1:]
    check_room(f"{len(files):,} images of {width} x {height} pixels", len(files) * 3 * height * width)
    pixels = np.empty((len(files), *shape), np.uint8)

    def fill(index: int) -> tuple[bool, bool]:
        image = _read(files[index], size)
        if image.rgb.shape != shape:
            raise _other_size(files[index], image.rgb.shape, files[0], shape)
        pixels[index] = image.rgb
        return image.grey, image.transparent

    all_grey, transparent = True, 0
    pool = ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1))
    try:
        for future in [pool.submit(fill, index) for index in range(len(files))]:
            grey, see_through = result(future)
            all_grey &= grey
            transparent += see_through
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # a thread may hang in a read
    if transparent:
        _log.warning("%d of %d images are partly transparent; the transparency is dropped", transparent, len(files))
    return np.ascontiguousarray(pixels[:, :1]) if all_grey else pixels


def _read(file: Path, size: int | None) -> _Decoded:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with open_regular(file) as opened, Image.open(opened, formats=FORMATS) as image:
            _check_header(image)
            rgb = image.convert("RGB")
            if size is not None:
                rgb = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
            pixels = np.asarray(rgb).transpose(2, 0, 1)
            return _Decoded(pixels, image.mode in ("1", "L"), _is_transparent(image))
    except (DataError, Interrupted):
        raise
    except UnidentifiedImageError:
        raise DataError(f"can't read the image {file}: the format must be one of {', '.join(FORMATS)}") from None
    except Exception as error:  # a damaged file raises anything, from OSError to SyntaxError
        raise DataError(f"can't read the image {file}: {error}") from error


def _check_header(image: Image) -> None:
    """Refuse, before its pixels are decoded, what can't be used."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"it has {width} x {height} pixels; at most {MOST_PIXELS // 10**6} million are allowed")
    if image.mode.startswith(("I", "F")):  # converting these to 8 bits would cut off, not scale
        raise ValueError(
            f"mode {image.mode} has more than 8 bits per channel; scale it to 0..255 and save it with 8 bits"
        )


def _is_transparent(image: Image) -> bool:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return False
    return bool(np.asarray(image.convert("RGBA").getchannel("A")).min() < 255)


def _other_size(file: Path, shape: tuple[int, ...], first: Path, others: tuple[int, ...]) -> DataError:
    one, two = (f"{width} x {height}" for _, height, width in (shape, others))
    return DataError(
        f"{file} is {one} pixels, {first} is {two}; all must have the same size",
        hint="`size = 32` in the study's data resizes the shorter side to 32 pixels and cuts the longer one",
    )
