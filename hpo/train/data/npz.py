"""One `.npz` file of NumPy arrays as a data set; also the form in which decoded image folders are cached.

| array | what |
|---|---|
| `train_inputs`, `test_inputs` | uint8, (N, C, H, W), or (N, H, W) for grey images |
| `train_labels`, `test_labels` | whole numbers, (N,), from 0 to the number of classes - 1 |
| `classes` | names in the order of the labels; optional, else "0", "1", ... as in training |
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hpo.errors import DataError
from hpo.train.data.fingerprint import fingerprint
from hpo.train.data.folders import InDataDir, data_dir
from hpo.train.data.images import Dataset, Images
from hpo.train.data.source import Source

_REQUIRED = ("train_inputs", "train_labels", "test_inputs", "test_labels")


class Npz(Source):
    """Images and labels from one `.npz` file; nothing in it can run code."""

    kind: Literal["npz"] = "npz"

    file: InDataDir
    """Path relative to `HPO_DATA_DIR`."""

    def load(self) -> Dataset:
        """All images, on the CPU.

        Raises:
            DataError: the file is missing or damaged, or its arrays are not as described above.
        """
        return read(data_dir() / self.file)


def read(path: Path) -> Dataset:
    """The data set in the file at `path`.

    Raises:
        DataError: the file is missing or damaged, or its arrays are not as described above.
    """
    arrays = _arrays(path)
    if missing := [name for name in _REQUIRED if name not in arrays]:
        raise DataError(f"{path} lacks {', '.join(missing)}; it must hold {', '.join(_REQUIRED)}")
    classes = arrays.get("classes", np.arange(len(np.unique(arrays["train_labels"]))).astype(str))
    if classes.ndim != 1 or classes.dtype.kind != "U":
        raise DataError(f"{path}: classes is {classes.dtype} {classes.shape}; it must be text (K,)")
    train, test = (_images(path, part, arrays, len(classes)) for part in ("train", "test"))
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        shapes = " and ".join(str(tuple(images.inputs.shape[1:])) for images in (train, test))
        raise DataError(f"{path}: training and test images have the shapes {shapes}; they must be the same")
    return Dataset(train, test, tuple(map(str, classes)), fingerprint(train, test))


def write(path: Path, dataset: Dataset) -> None:
    """Write `dataset` to `path` at once: a reader sees the whole file or none. One writer at a time."""
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        np.savez(
            file,
            train_inputs=dataset.train.inputs.numpy(),
            train_labels=dataset.train.labels.numpy(),
            test_inputs=dataset.test.inputs.numpy(),
            test_labels=dataset.test.labels.numpy(),
            classes=np.array(dataset.classes),
        )
    unfinished.replace(path)


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in (*_REQUIRED, "classes") if name in file}
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}", hint="`file` is a path relative to HPO_DATA_DIR") from error
    except Exception as error:  # a damaged archive raises anything, from BadZipFile to struct.error
        raise DataError(f"{path} can't be read as .npz without pickled objects: {error}") from error


def _images(path: Path, part: str, arrays: dict[str, np.ndarray[Any, Any]], classes: int) -> Images:
    inputs, labels = arrays[f"{part}_inputs"], arrays[f"{part}_labels"]
    if inputs.dtype != np.uint8 or inputs.ndim not in (3, 4) or 0 in inputs.shape:
        given = f"{path}: {part}_inputs is {inputs.dtype} {inputs.shape}"
        raise DataError(f"{given}; it must be uint8 (N, C, H, W) or (N, H, W), not empty")
    if labels.dtype.kind not in "iu" or labels.shape != (len(inputs),):
        given = f"{path}: {part}_labels is {labels.dtype} {labels.shape}"
        raise DataError(f"{given}; it must be whole numbers ({len(inputs)},), one per image")
    if labels.min() < 0 or labels.max() >= classes:
        given = f"{path}: {part}_labels goes from {labels.min()} to {labels.max()}"
        raise DataError(f"{given}; with {classes} classes it must stay within 0 to {classes - 1}")
    pixels = inputs if inputs.ndim == 4 else inputs[:, None]
    return Images(torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(labels.astype(np.int64)))
