"""One `.npz` file of NumPy arrays as a data set; also the form in which decoded image folders are cached."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from hpo.errors import DataError
from hpo.train.data.arrays import REQUIRED, from_arrays
from hpo.train.data.folders import InDataDir, data_dir
from hpo.train.data.images import Dataset
from hpo.train.data.source import Source


class Npz(Source):
    """Images and labels from one `.npz` file; nothing in it can run code.

    It holds `train_inputs` and `test_inputs`, uint8 (N, C, H, W), or (N, H, W) for grey images; `train_labels` and
    `test_labels`, whole numbers (N,) from 0; and, if you like, `classes`, their names in the order of the labels.
    """

    kind: Literal["npz"] = "npz"

    file: InDataDir
    """Path relative to `HPO_DATA_DIR`."""

    def load(self) -> Dataset:
        """All images, on the CPU.

        Raises:
            DataError: the file is missing or damaged, or its arrays are not as `hpo.train.data.arrays` describes.
        """
        return read(data_dir() / self.file)


def read(path: Path) -> Dataset:
    """The data set in the file at `path`.

    Raises:
        DataError: the file is missing or damaged, or its arrays are not as `hpo.train.data.arrays` describes.
    """
    return from_arrays(_arrays(path), path)


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
            return {name: file[name] for name in (*REQUIRED, "classes") if name in file}
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}", hint="`file` is a path relative to HPO_DATA_DIR") from error
    except Exception as error:  # a damaged archive raises anything, from BadZipFile to struct.error
        raise DataError(f"{path} can't be read as .npz without pickled objects: {error}") from error
