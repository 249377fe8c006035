"""Data sets: from files to uint8 tensors that lie whole on the device.

A data set is one frozen spec with `kind` and the verb `load() -> Dataset`; the union `Data` is the registry.
Libraries that read files are imported when something is loaded, not before.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo.trainers.images.data.cifar import Cifar10, Cifar100
from hpo.trainers.images.data.custom import Custom
from hpo.trainers.images.data.digits import Digits
from hpo.trainers.images.data.folders import cache_dir, data_dir
from hpo.trainers.images.data.image_folder import ImageFolder
from hpo.trainers.images.data.images import Dataset, Images, Splits
from hpo.trainers.images.data.npz import Npz
from hpo.trainers.images.data.source import Source
from hpo.trainers.images.data.splits import split

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
