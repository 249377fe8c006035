"""What every data set's spec has: how the training images are divided, and by what its images are recognized.

The test images are what the data set's authors set apart; a spec can't change them.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, StrictFloat, StrictInt, ValidationInfo, field_validator

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
    """Training images held out for validation, stratified: a whole number, or a share between 0 and 1."""

    steer: StrictInt | StrictFloat | None = None
    """Further training images held out, given as for `validation`. Feedback policies look at them instead of
    validation, so that strengths are steered by images that are not used for selection."""

    split_seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed that decides which images are held out, and which are kept under `train_limit`; not the trial's seed."""

    train_limit: int | None = Field(default=None, ge=1)
    """The most training images to use, drawn after the split, stratified; validation and test stay complete."""

    @field_validator("validation", "steer")
    @classmethod
    def _some_images(cls, part: float | None, info: ValidationInfo) -> float | None:
        if part is None:
            return None
        if part <= 0 or (isinstance(part, float) and part >= 1):
            raise ValueError(f"{part} is neither a whole number of images, at least 1, nor a share between 0 and 1")
        if cls.TRAIN_IMAGES is not None:
            before = info.data.get("validation")  # of `steer` alone; None if it was refused
            left = cls.TRAIN_IMAGES - (0 if before is None else held_out(before, cls.TRAIN_IMAGES))
            left -= held_out(part, cls.TRAIN_IMAGES, info.field_name or "")
            if left < cls.CLASSES:
                raise ValueError(
                    f"{part} leaves {left} images to train on; at least {cls.CLASSES} are needed, one for each class"
                )
        return part

    @field_validator("train_limit")
    @classmethod
    def _an_image_of_each_class(cls, limit: int | None) -> int | None:
        if limit is not None and limit < cls.CLASSES:
            raise ValueError(f"{limit} images are too few: at least {cls.CLASSES} are needed, one for each class")
        return limit

    @property
    def chance(self) -> float | None:
        """The accuracy of guessing, as a share; None where only the files tell how many classes there are."""
        return None if self.TRAIN_IMAGES is None else 1 / self.CLASSES

    @property
    def images_per_epoch(self) -> int | None:
        """Training images after the split, at most; None where only the files tell."""
        if self.TRAIN_IMAGES is None:
            return self.train_limit
        left = self.TRAIN_IMAGES - held_out(self.validation, self.TRAIN_IMAGES)
        if self.steer is not None:
            left -= held_out(self.steer, self.TRAIN_IMAGES, "steer")
        return left if self.train_limit is None else min(left, self.train_limit)


class UncountedSource(Source):
    """A data set whose number of classes only its files tell."""

    classes: int | None = Field(default=None, ge=2)
    """How many classes there are. With it the accuracy of guessing, with which a diverged trial counts, is known
    before the images are read; without it such a trial counts with an accuracy of 0."""

    @property
    def chance(self) -> float | None:
        """The accuracy of guessing, if the number of classes is given."""
        return None if self.classes is None else 1 / self.classes


def held_out(part: float, total: int, name: str = "validation") -> int:
    """How many of `total` training images a part holds out that is stated as a whole number or as a share.

    Raises:
        ValueError: none, or all.
    """
    count = part if isinstance(part, int) else round(part * total)
    if not 0 < count < total:
        raise ValueError(
            f"{name} = {part} holds out {count:,} of {total:,} training images; it must be 1 to {total - 1:,}"
        )
    return count
