"""Data sets: from files to uint8 tensors that lie whole on the device.

A data set is one frozen spec with `kind` and the verb `load() -> Dataset`; the union `Data` is the registry.
Libraries that read files are imported when something is loaded, not before.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo.train.data.cifar import Cifar10, Cifar100
from hpo.train.data.custom import Custom
from hpo.train.data.digits import Digits
from hpo.train.data.folders import cache_dir, data_dir
from hpo.train.data.image_folder import ImageFolder
from hpo.train.data.images import Dataset, Images, Splits
from hpo.train.data.npz import Npz
from hpo.train.data.source import Source
from hpo.train.data.splits import split

Data = Annotated[Digits | Cifar10 | Cifar100 | ImageFolder | Npz | Custom, Field(discriminator="kind")]

__all__ = [
    "Cifar10",
    "Cifar100",
    "Custom",
    "Data",
    "Dataset",
    "Digits",
    "ImageFolder",
    "Images",
    "Npz",
    "Source",
    "Splits",
    "cache_dir",
    "data_dir",
    "split",
]
