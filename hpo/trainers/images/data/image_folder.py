"""A folder of image files as a data set: `FOLDER/train/CLASS/*.png` and `FOLDER/test/CLASS/*.png`.

They become RGB (N, 3, H, W), or grey (N, 1, H, W) if all are grey. They are decoded once per node: the pixels are kept
in `HPO_CACHE_DIR`, for as long as the files are those that were decoded.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field

from hpo.errors import DataError
from hpo.trainers.images.data.decoded import decoded
from hpo.trainers.images.data.decoding import SUFFIXES, decode
from hpo.trainers.images.data.files import Identity, file_identity
from hpo.trainers.images.data.fingerprint import fingerprint
from hpo.trainers.images.data.folders import InDataDir, cache_dir, data_dir
from hpo.trainers.images.data.images import Dataset, Images
from hpo.trainers.images.data.source import UncountedSource

_Files = dict[str, list[Path]]


class ImageFolder(UncountedSource):
    """Image files sorted into one folder per class: PNG, JPEG, BMP, GIF, PPM, TIFF or WebP, with 8 bits per channel.

    Links are followed. Transparency is dropped, an EXIF orientation is ignored, and of several pictures in one file
    the first counts.
    """

    kind: Literal["image_folder"] = "image_folder"

    folder: InDataDir
    """Path relative to `HPO_DATA_DIR` of the folder that holds `train` and `test`."""

    size: int | None = Field(default=None, ge=1, le=1024)
    """Make every image a square with this side in pixels: its shorter side is resized, its longer side is cropped at
    both ends. If left out, all images must have the same size."""

    def identity(self) -> Identity:
        """The identity of all image files.

        Raises:
            DataError: a folder is missing or has other classes.
        """
        return _identity(*self._files())

    def load(self) -> Dataset:
        """All images, on the CPU; from the cache if the files are those that were decoded before.

        Raises:
            DataError: a folder is missing or has other classes, or an image is unreadable or of another size.
        """
        train, test = self._files()
        [key] = _identity(train, test)
        place = cache_dir() / f"images-{self._place()}"
        return decoded(place, key, lambda: _decode(train, test, self.size))

    def _place(self) -> str:
        """What all decoded versions of this folder at this size have in their names."""
        folder = (data_dir() / self.folder).resolve()
        return hashlib.sha256(repr((str(folder), self.size)).encode()).hexdigest()[:16]

    def _files(self) -> tuple[_Files, _Files]:
        """The image files to learn from and those for the end, by class."""
        folder = data_dir() / self.folder
        train, test = _files(folder / "train"), _files(folder / "test")
        if differing := sorted(train.keys() ^ test.keys()):
            raise DataError(
                f"{folder}: train and test differ in the classes {', '.join(differing)}; both must have the same ones"
            )
        return train, test


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
            raise DataError(f"{folder / name} holds no image; known suffixes are {' '.join(sorted(SUFFIXES))}")
    return files


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.name[0] != "."


def _identity(*parts: _Files) -> tuple[str]:
    """One digest of what all files are recognized by, wherever the folder lies."""
    digest = hashlib.sha256()
    for files in parts:
        for images in files.values():
            for file in images:
                _, *found = file_identity(file)
                digest.update(repr((file.parts[-3:], found)).encode())
    return (digest.hexdigest()[:32],)


def _decode(train: _Files, test: _Files, size: int | None) -> Dataset:
    import torch

    files = [file for part in (train, test) for images in part.values() for file in images]
    counts = [len(images) for part in (train, test) for images in part.values()]
    labels = torch.arange(len(train)).repeat(2).repeat_interleave(torch.tensor(counts))
    inputs = torch.from_numpy(decode(files, size))
    count = sum(map(len, train.values()))
    learn, end = Images(inputs[:count], labels[:count]), Images(inputs[count:], labels[count:])
    return Dataset(learn, end, tuple(train), fingerprint(learn, end))
