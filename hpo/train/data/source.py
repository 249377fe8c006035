"""What every data set's spec has: how the training images are divided.

The test images are what the data set's authors set apart; a spec can't change them.
"""

from __future__ import annotations

from pydantic import Field, StrictFloat, StrictInt, field_validator

from hpo.spec import Spec


class Source(Spec):
    """The fields common to all data sets; a data set adds `kind` and the verb `load() -> Dataset`."""

    validation: StrictInt | StrictFloat = 0.1
    """Training images held out to select on, stratified: a whole number, or a share between 0 and 1."""

    split_seed: int = Field(default=42, ge=0, lt=2**32)
    """Decides which images are held out, and which remain under `train_limit`; not the trial's seed."""

    train_limit: int | None = Field(default=None, ge=1)
    """At most so many training images, taken after the split, stratified; validation and test stay whole."""

    @field_validator("validation")
    @classmethod
    def _some_images(cls, validation: float) -> float:
        if validation <= 0 or (isinstance(validation, float) and validation >= 1):
            raise ValueError(
                f"{validation} is neither a whole number of images, at least 1, nor a share between 0 and 1"
            )
        return validation
