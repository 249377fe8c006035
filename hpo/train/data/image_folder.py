"""A folder of image files as a data set: `FOLDER/train/CLASS/*.png` and `FOLDER/test/CLASS/*.png`.

All images have one size; they are converted to RGB (N, 3, H, W), or to grey (N, 1, H, W) if all are grey.
They are decoded once per node: the pixels are kept in `HPO_CACHE_DIR`, under a key of the files' names, sizes
and times, so that changed files are decoded again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hpo.errors import DataError
from hpo.train.data import npz
from hpo.train.data.fingerprint import fingerprint
from hpo.train.data.folders import InDataDir, cache_dir, data_dir, locked
from hpo.train.data.images import Dataset, Images
from hpo.train.data.source import Source

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})

_log = logging.getLogger(__name__)
_Files = dict[str, list[Path]]


class ImageFolder(Source):
    """Image files sorted into one folder per class."""

    kind: Literal["image_folder"] = "image_folder"

    folder: InDataDir
    """Path relative to `HPO_DATA_DIR` of the folder that holds `train` and `test`."""

    def load(self) -> Dataset:
        """All images, on the CPU; from the cache if the files are those that were decoded before.

        Raises:
            DataError: a folder is missing or has other classes, or an image is unreadable or of another size.
        """
        folder = data_dir() / self.folder
        train, test = _files(folder / "train"), _files(folder / "test")
        if differing := sorted(train.keys() ^ test.keys()):
            raise DataError(
                f"{folder}: train and test differ in the classes {', '.join(differing)}; both must have all"
            )
        cached = cache_dir() / f"images-{_key(folder, train, test)}.npz"
        if dataset := _read_cached(cached):
            return dataset
        with locked(cached):
            if dataset := _read_cached(cached):  # another process decoded them meanwhile
                return dataset
            dataset = _decode(train, test)
            try:
                npz.write(cached, dataset)
            except OSError as error:
                raise DataError(
                    f"can't write {cached}: {error.strerror}", hint="set HPO_CACHE_DIR to a folder with room"
                ) from error
        return dataset


def _files(folder: Path) -> _Files:
    """The image files of each class, both in the order of their names; hidden ones are left out."""
    try:
        folders = sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
        files = {entry.name: sorted(filter(_is_image, entry.iterdir())) for entry in folders}
    except OSError as error:
        hint = "`folder` is a path relative to HPO_DATA_DIR; it holds train/CLASS/*.png and test/CLASS/*.png"
        raise DataError(f"can't list {error.filename}: {error.strerror}", hint=hint) from error
    if not files:
        raise DataError(f"{folder} has no folders: there must be one for each class")
    for name, images in files.items():
        if not images:
            raise DataError(f"{folder / name} holds no image; known are {' '.join(sorted(SUFFIXES))}")
    return files


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.name[0] != "."


def _key(folder: Path, *parts: _Files) -> str:
    digest = hashlib.sha256(repr(folder.resolve()).encode())
    for file in (file for files in parts for images in files.values() for file in images):
        try:
            stat = file.stat()
        except OSError as error:  # a link to nowhere
            raise DataError(f"can't read the image {file}: {error.strerror}") from error
        digest.update(repr((file.parts[-3:], stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()[:32]


def _read_cached(path: Path) -> Dataset | None:
    if not path.exists():
        return None
    try:
        return npz.read(path)
    except DataError as error:
        _log.warning("the cache is damaged, images are decoded again: %s", error)
        return None


def _decode(train: _Files, test: _Files) -> Dataset:
    files = [file for part in (train, test) for images in part.values() for file in images]
    sizes = [len(images) for part in (train, test) for images in part.values()]
    labels = torch.arange(len(train)).repeat(2).repeat_interleave(torch.tensor(sizes))
    _log.info("decoding %d images", len(files))
    inputs = torch.from_numpy(_pixels(files))
    count = sum(map(len, train.values()))
    learn, end = Images(inputs[:count], labels[:count]), Images(inputs[count:], labels[count:])
    return Dataset(learn, end, tuple(train), fingerprint(learn, end))


def _pixels(files: list[Path]) -> np.ndarray[Any, Any]:
    """The pixels of all files, uint8 (N, 3, H, W), or (N, 1, H, W) if all are grey."""
    first, _ = _image(files[0])
    pixels = np.empty((len(files), *first.shape), np.uint8)

    def decode(index: int) -> bool:
        image, grey = _image(files[index])
        if image.shape != first.shape:
            sizes = [f"{width} x {height}" for _, height, width in (image.shape, first.shape)]
            raise DataError(f"{files[index]} is {sizes[0]} pixels, {files[0]} is {sizes[1]}; all must have one size")
        pixels[index] = image
        return grey

    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        grey = all(list(pool.map(decode, range(len(files)))))
    finally:
        pool.shutdown(cancel_futures=True)
    return np.ascontiguousarray(pixels[:, :1]) if grey else pixels


def _image(file: Path) -> tuple[np.ndarray[Any, Any], bool]:
    """The pixels of one file as RGB, uint8 (3, H, W), and whether it is a grey image."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            mode = image.mode
            if mode.startswith(("I", "F")):  # converting these to 8 bits would cut off, not scale
                raise ValueError(f"mode {mode}, more than 8 bits per channel")
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1), mode in ("1", "L")
    except Exception as error:  # a damaged file raises anything, from OSError to SyntaxError
        raise DataError(f"can't read the image {file}: {error}") from error
