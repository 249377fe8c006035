"""Images of your own: a function of a Python module that the worker can import and may (see `hpo.trainers.target`)."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, ClassVar, Literal

import numpy as np

from hpo.errors import DataError, HpoError
from hpo.process.pulse import Interrupted
from hpo.trainers.images.data.arrays import REQUIRED, from_arrays
from hpo.trainers.images.data.files import Identity
from hpo.trainers.images.data.images import Dataset
from hpo.trainers.images.data.layout import Layout
from hpo.trainers.images.data.source import UncountedSource
from hpo.trainers.images.data.waiting import watched
from hpo.trainers.target import Arguments, Target, check_code, import_target, raised


class Custom(UncountedSource):
    """Images of your own, on workers whose `HPO_CUSTOM_TARGETS` names the module that reads them.

    What is trained on is what the function returns on that worker; the fingerprint of it is compared between workers,
    as for any data set.
    """

    kind: Literal["custom"] = "custom"

    target: Target
    """`MODULE:FUNCTION`, called as `FUNCTION(**args)`; it returns a dictionary of the arrays that `npz` describes."""

    args: Arguments = {}
    """Arguments of the function."""

    layout: Layout | None = None
    """The order of the axes of the inputs, as for `npz`."""

    KNOWS_ITS_FILES: ClassVar[bool] = False

    def __hash__(self) -> int:  # a worker keeps data sets by their spec; a dict of arguments has no hash of its own
        return hash(self.model_dump_json())

    def identity(self) -> Identity:
        """Always the same: what files it reads is its own affair.

        Raises:
            TargetError: its code is not what this process has imported.
        """
        check_code()
        return ()

    def load(self) -> Dataset:
        """All images, on the CPU.

        Raises:
            TargetError: this worker may not import the target, or it is not there.
            DataError: it raises, or what it returns is not as described.
        """
        function = import_target(self.target, "data set")
        returned = watched(lambda: self._called(function))
        if not isinstance(returned, dict):
            raise DataError(f"{self.target} returned {returned!r:.100}; it must return {', '.join(REQUIRED)} in a dict")
        arrays = {name: np.asarray(array) for name, array in returned.items()}
        return from_arrays(arrays, self.target, self.layout)

    def _called(self, function: Callable[..., Any]) -> Any:
        try:
            return function(**deepcopy(self.args))
        except (HpoError, Interrupted):
            raise
        except Exception as error:  # its files are missing, or it can't read them: another machine may
            raise DataError(f"{self.target} raised {raised(error)}") from error
