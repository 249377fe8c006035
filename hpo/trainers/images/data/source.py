"""What every data set's spec has: how the training images are divided, and by what its images are recognized.

The test images are what the data set's authors set apart; a spec can't change them.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, StrictFloat, StrictInt, field_validator

from hpo.spec import Spec


class Source(Spec):
    """The fields common to all data sets.

    A data set adds `kind` and two verbs: `load() -> Dataset` reads all images, onto the CPU; `identity() -> Identity`
    differs once what `load` reads is not what it was.
    """

    TRAIN_IMAGES: ClassVar[int | None] = None
    """Training images before the split; None where only the files tell."""
    CLASSES: ClassVar[int] = 2
    """The number of classes, at least."""
    KNOWS_ITS_FILES: ClassVar[bool] = True
    """Whether images can't change without a change of `identity`."""

    validation: StrictInt | StrictFloat = 0.1
    """Training images held out to select on, stratified: a whole number, or a share between 0 and 1."""

    split_seed: int = Field(default=42, ge=0, lt=2**32)
    """Decides which images are held out, and which remain under `train_limit`; not the trial's seed."""

    train_limit: int | None = Field(default=None, ge=1)
    """The most training images that are used, taken after the split, stratified; validation and test stay whole."""

    @field_validator("validation")
    @classmethod
    def _some_images(cls, validation: float) -> float:
        if validation <= 0 or (isinstance(validation, float) and validation >= 1):
            raise ValueError(
                f"{validation} is neither a whole number of images, at least 1, nor a share between 0 and 1"
            )
        if cls.TRAIN_IMAGES is not None:
            left = cls.TRAIN_IMAGES - held_out(validation, cls.TRAIN_IMAGES)
            if left < cls.CLASSES:
                raise ValueError(
                    f"{validation} leaves {left} images to train on; one of each class makes at least {cls.CLASSES}"
                )
        return validation

    @field_validator("train_limit")
    @classmethod
    def _an_image_of_each_class(cls, limit: int | None) -> int | None:
        if limit is not None and limit < cls.CLASSES:
            raise ValueError(f"{limit} images are too few: one of each class makes at least {cls.CLASSES}")
        return limit

    @property
    def images_per_epoch(self) -> int | None:
        """Training images after the split, at most; None where only the files tell."""
        if self.TRAIN_IMAGES is None:
            return self.train_limit
        left = self.TRAIN_IMAGES - held_out(self.validation, self.TRAIN_IMAGES)
        return left if self.train_limit is None else min(left, self.train_limit)


def held_out(validation: float, total: int) -> int:
    """How many of `total` training images `validation` holds out.

    Raises:
        ValueError: none, or all.
    """
    count = validation if isinstance(validation, int) else round(validation * total)
    if not 0 < count < total:
        raise ValueError(
            f"validation = {validation} holds out {count:,} of {total:,} training images; it must be 1 to {total - 1:,}"
        )
    return count
