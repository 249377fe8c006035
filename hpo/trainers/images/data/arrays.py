"""A data set from NumPy arrays, all of which are checked.

| array | what |
|---|---|
| `train_inputs`, `test_inputs` | uint8, (N, C, H, W), or (N, H, W, C) if so said, or (N, H, W) for grey images |
| `train_labels`, `test_labels` | whole numbers, (N,), from 0 to the number of classes - 1 |
| `classes` | names in the order of the labels; optional, else "0", "1", ... as in training |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import DataError
from hpo.trainers.images.data.fingerprint import fingerprint
from hpo.trainers.images.data.images import Dataset, Images
from hpo.trainers.images.data.layout import Layout, channels_first

if TYPE_CHECKING:
    pass

REQUIRED = ("train_inputs", "train_labels", "test_inputs", "test_labels")

Array = np.ndarray[Any, Any]


def from_arrays(arrays: Mapping[str, Array], source: object, layout: Layout | None = None) -> Dataset:
    """The data set; `source` is where the arrays come from, for errors.

    Raises:
        DataError: an array is missing, or not as described above.
    """
    if missing := [name for name in REQUIRED if name not in arrays]:
        raise DataError(f"{source} lacks {', '.join(missing)}; it must hold {', '.join(REQUIRED)}")
    classes = arrays.get("classes", np.arange(len(np.unique(arrays["train_labels"]))).astype(str))
    if classes.ndim != 1 or classes.dtype.kind != "U":
        raise DataError(f"{source}: classes is {classes.dtype} {classes.shape}; it must be text (K,)")
    train, test = (_images(source, part, arrays, len(classes), layout) for part in ("train", "test"))
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        shapes = " and ".join(str(tuple(images.inputs.shape[1:])) for images in (train, test))
        raise DataError(f"{source}: training and test images have the shapes {shapes}; they must be the same")
    return Dataset(train, test, tuple(map(str, classes)), fingerprint(train, test))


def _images(source: object, part: str, arrays: Mapping[str, Array], classes: int, layout: Layout | None) -> Images:
    import torch

    inputs, labels = arrays[f"{part}_inputs"], arrays[f"{part}_labels"]
    name = f"{source}: {part}_inputs"
    if inputs.dtype != np.uint8 or inputs.ndim not in (3, 4) or 0 in inputs.shape:
        raise DataError(
            f"{name} is {inputs.dtype} {inputs.shape}; it must be uint8 (N, C, H, W) or (N, H, W), not empty",
            hint=_as_uint8(inputs),
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(inputs),):
        given = f"{source}: {part}_labels is {labels.dtype} {labels.shape}"
        raise DataError(
            f"{given}; it must be whole numbers ({len(inputs)},), one per image",
            hint="for one-hot labels, labels.argmax(axis=1)" if labels.ndim == 2 else "",
        )
    if labels.min() < 0 or labels.max() >= classes:
        given = f"{source}: {part}_labels goes from {labels.min()} to {labels.max()}"
        raise DataError(f"{given}; with {classes} classes it must stay within 0 to {classes - 1}")
    pixels = np.ascontiguousarray(channels_first(inputs, layout, name))
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64)))


def _as_uint8(inputs: Array) -> str:
    """How such pixels become uint8, if their type is all that is wrong."""
    if inputs.dtype == np.bool_:
        return "for pixels that are False or True, (inputs * 255).astype(numpy.uint8)"
    if inputs.dtype.kind == "f":
        return (
            "for values from 0 to 1, (inputs * 255).round().astype(numpy.uint8); "
            "from 0 to 255, inputs.round().astype(numpy.uint8)"
        )
    if inputs.dtype.kind in "iu" and inputs.dtype != np.uint8:
        return "for values from 0 to 255, inputs.astype(numpy.uint8)"
    return ""
