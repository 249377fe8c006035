"""CIFAR-10 and CIFAR-100 through torchvision: 50,000 + 10,000 images (N, 3, 32, 32).

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. Test set: the official one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from hpo.errors import DataError
from hpo.trainers.images.data.files import Identity, file_identity
from hpo.trainers.images.data.fingerprint import fingerprint
from hpo.trainers.images.data.folders import data_dir, locked
from hpo.trainers.images.data.images import Dataset, Images
from hpo.trainers.images.data.source import Source
from hpo.trainers.images.data.waiting import watched

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10


class Cifar10(Source):
    """32 x 32 colour images of 10 classes."""

    kind: Literal["cifar10"] = "cifar10"

    download: bool = False
    """Let a node that lacks the files fetch them (about 170 MB) into `HPO_DATA_DIR`."""

    TRAIN_IMAGES: ClassVar[int | None] = 50_000
    CLASSES: ClassVar[int] = 10

    def identity(self) -> Identity:
        """The identity of the files that there are."""
        from torchvision.datasets import CIFAR10

        return _identity(CIFAR10)

    def load(self) -> Dataset:
        """All images, on the CPU.

        Raises:
            DataError: the files are missing or damaged, or can't be downloaded.
        """
        from torchvision.datasets import CIFAR10

        return watched(lambda: _load(CIFAR10, self.download))


class Cifar100(Source):
    """32 x 32 colour images of 100 classes."""

    kind: Literal["cifar100"] = "cifar100"

    download: bool = False
    """Let a node that lacks the files fetch them (about 170 MB) into `HPO_DATA_DIR`."""

    TRAIN_IMAGES: ClassVar[int | None] = 50_000
    CLASSES: ClassVar[int] = 100

    def identity(self) -> Identity:
        """The identity of the files that there are."""
        from torchvision.datasets import CIFAR100

        return _identity(CIFAR100)

    def load(self) -> Dataset:
        """All images, on the CPU.

        Raises:
            DataError: the files are missing or damaged, or can't be downloaded.
        """
        from torchvision.datasets import CIFAR100

        return watched(lambda: _load(CIFAR100, self.download))


def _identity(cifar: type[CIFAR10]) -> Identity:
    folder = data_dir() / cifar.base_folder
    try:
        files = sorted(file for file in folder.iterdir() if file.is_file())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DataError(f"can't list {folder}: {error.strerror}") from error
    return tuple(file_identity(file) for file in files)


def _load(cifar: type[CIFAR10], download: bool) -> Dataset:
    folder = data_dir() / cifar.base_folder
    move = f"set HPO_DATA_DIR to the folder that holds {cifar.base_folder}"
    try:
        return _read(cifar, download=False)
    except OSError as error:
        raise DataError(f"can't read {cifar.__name__} in {folder}: {error}", hint=move) from error
    except RuntimeError as error:  # torchvision's word for files that are missing or fail their checksum
        if not download:
            raise DataError(
                f"{cifar.__name__} is not in {folder}: files are missing or damaged",
                hint=f"{move}, or set `download = true` in the study's data",
            ) from error
    with locked(folder):
        try:
            return _read(cifar, download=True)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{cifar.__name__} could not be downloaded into {folder}: {error}",
                hint=f"put torchvision's files there by hand, or {move}",
            ) from error


def _read(cifar: type[CIFAR10], *, download: bool) -> Dataset:
    import torch

    parts = [cifar(data_dir(), train=train, download=download) for train in (True, False)]
    train, test = (
        Images(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))
        for part in parts
    )
    return Dataset(train, test, tuple(parts[0].classes), fingerprint(train, test))
