"""Images of your own: a function of a Python module that the worker can import and may (see `hpo.train.target`)."""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import numpy as np
from pydantic import JsonValue

from hpo.errors import DataError
from hpo.spec import Name
from hpo.train.data.arrays import REQUIRED, from_arrays
from hpo.train.data.images import Dataset
from hpo.train.data.source import Source
from hpo.train.target import Target, import_target


class Custom(Source):
    """Images of your own, on workers whose `HPO_CUSTOM_TARGETS` names the module that reads them.

    What is trained on is what the function returns on that worker; the fingerprint of it is compared between workers,
    as for any data set.
    """

    kind: Literal["custom"] = "custom"

    target: Target
    """`MODULE:FUNCTION`, called as `FUNCTION(**args)`; it returns a dictionary of the arrays that `npz` describes."""

    args: dict[Name, JsonValue] = {}
    """Arguments of the function."""

    def __hash__(self) -> int:  # a worker keeps data sets by their spec; a dict of arguments has no hash of its own
        return hash(self.model_dump_json())

    def load(self) -> Dataset:
        """All images, on the CPU.

        Raises:
            TargetError: this worker may not import the target, or it is not there.
            DataError: what it returns is not as described.
        """
        returned = import_target(self.target, "data set")(**deepcopy(self.args))
        if not isinstance(returned, dict):
            raise DataError(f"{self.target} returned {returned!r:.100}; it must return {', '.join(REQUIRED)} in a dict")
        return from_arrays({name: np.asarray(array) for name, array in returned.items()}, self.target)
