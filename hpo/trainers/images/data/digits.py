"""Handwritten digits, as they come with scikit-learn: nothing to download, a trial in seconds.

1,797 images (N, 1, 8, 8) of grey levels 0..16, scaled to 0..255; E. Alpaydin and C. Kaynak, "Optical
Recognition of Handwritten Digits", UCI, 1998. This copy has no official test set: a stratified 20% (359
images), drawn with a seed that no study can change, is the test set here. Accuracies are comparable within
`hpo`, not with papers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from hpo.trainers.images.data.files import Identity
from hpo.trainers.images.data.fingerprint import fingerprint
from hpo.trainers.images.data.images import Dataset, Images
from hpo.trainers.images.data.source import Source
from hpo.trainers.images.data.splits import hold_out

if TYPE_CHECKING:
    pass

_TEST_IMAGES = 359
_TEST_SEED = 0


class Digits(Source):
    """8 x 8 grey handwritten digits: 1,438 for training, 359 for test."""

    kind: Literal["digits"] = "digits"

    TRAIN_IMAGES: ClassVar[int | None] = 1_438
    CLASSES: ClassVar[int] = 10

    def identity(self) -> Identity:
        """Always the same: they are part of an installed package."""
        return ()

    def load(self) -> Dataset:
        """All images, on the CPU."""
        import torch
        from sklearn.datasets import load_digits

        bunch = load_digits()
        pixels = torch.from_numpy(np.round(bunch.images * (255 / 16)).astype(np.uint8))
        images = Images(pixels.unsqueeze(1), torch.from_numpy(bunch.target.astype(np.int64)))
        test, train = (images.take(part) for part in hold_out(images.labels, _TEST_IMAGES, _TEST_SEED))
        return Dataset(train, test, tuple(map(str, bunch.target_names)), fingerprint(train, test))
