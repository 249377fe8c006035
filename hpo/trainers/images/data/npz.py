"""One `.npz` file of NumPy arrays as a data set; also the form in which decoded image folders are cached."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy

from hpo.errors import DataError
from hpo.process import pulse
from hpo.trainers.images.data.arrays import REQUIRED, from_arrays
from hpo.trainers.images.data.files import SLICE_BYTES, Identity, create, file_identity, open_regular
from hpo.trainers.images.data.folders import InDataDir, data_dir
from hpo.trainers.images.data.images import Dataset
from hpo.trainers.images.data.layout import Layout
from hpo.trainers.images.data.room import check_room
from hpo.trainers.images.data.source import UncountedSource

LONGEST_HEADER = 1 << 16
"""Bytes; more than NumPy accepts."""
LOCAL_HEADER = struct.Struct("<26xHH")
"""What stands before a member of a zip file, as far as it is needed: the lengths of its name and of what is extra."""


class Npz(UncountedSource):
    """Images and labels from one `.npz` file; nothing in it can run code.

    It holds `train_inputs` and `test_inputs`, uint8 (N, C, H, W), or (N, H, W) for grey images; `train_labels` and
    `test_labels`, whole numbers (N,) from 0; and, if you like, `classes`, their names in the order of the labels.
    """

    kind: Literal["npz"] = "npz"

    file: InDataDir
    """Path relative to `HPO_DATA_DIR`."""

    layout: Layout | None = None
    """Order of the axes of the inputs: `"NHWC"` for (N, H, W, C). Left out, it is (N, C, H, W), and a shape that looks
    like the other one is refused."""

    def identity(self) -> Identity:
        """The identity of the file.

        Raises:
            DataError: there is none.
        """
        return file_identity(data_dir() / self.file)

    def load(self) -> Dataset:
        """All images, on the CPU.

        Raises:
            DataError: the file is missing or damaged, or its arrays are not as `arrays` describes.
        """
        return read(data_dir() / self.file, self.layout)


def read(path: Path, layout: Layout | None) -> Dataset:
    """The data set in the file at `path`.

    Raises:
        DataError: the file is missing or damaged, or its arrays are not as `hpo.trainers.images.data.arrays` describes.
    """
    return from_arrays(_arrays(path), path, layout)


def mapped(path: Path) -> Dataset:
    """The data set in a file of our own, as `write` makes them: its images are mapped, and none of them is written to.

    Processes that map one file share its pages. A file that could be written in place is not for mapping.

    Raises:
        DataError: the file is damaged.
    """
    try:
        arrays = _mapped_arrays(path)
    except pulse.Interrupted:
        raise
    except Exception as error:  # as above
        raise DataError(f"{path} can't be mapped: {error}") from error
    return from_arrays(arrays, path, "NCHW")


def write(path: Path, dataset: Dataset) -> None:
    """Write `dataset` to `path` at once: a reader sees the whole file or none. One writer at a time."""
    unfinished = path.with_suffix(".tmp")
    try:
        with create(unfinished) as file:
            np.savez(
                file,
                train_inputs=dataset.train.inputs.numpy(),
                train_labels=dataset.train.labels.numpy(),
                test_inputs=dataset.test.inputs.numpy(),
                test_labels=dataset.test.labels.numpy(),
                classes=np.array(dataset.classes),
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)  # half a file on a full disk helps nobody


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    with open_regular(path) as opened:
        try:
            with zipfile.ZipFile(opened) as archive:
                held = set(archive.namelist())
                names = [name for name in (*REQUIRED, "classes") if f"{name}.npy" in held]
                check_room(path, sum(_promised(archive, name) for name in names))
                return {name: _array(archive, name) for name in names}
        except (DataError, pulse.Interrupted):
            raise
        except Exception as error:  # a damaged archive raises anything, from BadZipFile to struct.error
            raise DataError(f"{path} can't be read as .npz without pickled objects: {error}") from error


def _mapped_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    with open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for name in (*REQUIRED, "classes"):
            info = archive.getinfo(f"{name}.npy")
            content = np.memmap(path, np.uint8, "c", _begin(opened, info), (info.file_size,))
            _check(content, info)
            member = io.BytesIO(content[:LONGEST_HEADER].tobytes())
            shape, by_columns, dtype = _header(member)
            if by_columns:
                raise ValueError(f"{info.filename} is in Fortran order")
            array = content[member.tell() :]
            # Numbers of several bytes may not lie as a processor wants them; they are few.
            arrays[name] = (array if dtype == np.uint8 else array.copy()).view(dtype).reshape(shape)
        return arrays


def _begin(opened: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Where a member's content begins in the file, which is as it was: nothing of ours is compressed."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed")
    opened.seek(info.header_offset)
    name, extra = LOCAL_HEADER.unpack(opened.read(LOCAL_HEADER.size))
    return info.header_offset + LOCAL_HEADER.size + int(name) + int(extra)


def _check(content: np.ndarray[Any, Any], info: zipfile.ZipInfo) -> None:
    """See that a member is what was written."""
    found = 0
    for begin in range(0, len(content), SLICE_BYTES):
        pulse.beat()
        found = zlib.crc32(content[begin : begin + SLICE_BYTES].data, found)
    if found != info.CRC:
        raise ValueError(f"the checksum of {info.filename} is wrong")


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray[Any, Any]:
    with archive.open(f"{name}.npy") as member:
        array: np.ndarray[Any, Any] = npy.read_array(member, allow_pickle=False)
    return array


def _promised(archive: zipfile.ZipFile, name: str) -> int:
    """Bytes of the array according to its header, which is believed when memory is taken for it."""
    with archive.open(f"{name}.npy") as member:
        # A header says how long it is, too, and that is believed: by itself it could fill the memory.
        shape, _, dtype = _header(io.BytesIO(member.read(LONGEST_HEADER)))
    if min(shape, default=0) < 0:  # it would make room for another array
        raise ValueError(f"an array of the shape {shape}")
    return math.prod(shape) * dtype.itemsize


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(member)
    if version not in read:
        raise ValueError(f"an array in version {version} of the format")
    return read[version](member)
