"""Which regularization, and how should it move during training? Studies that answer, on many machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from hpo.client import Trial
    from hpo.notebook import LoadedStudy
    from hpo.trainers.images.nets import Net

__version__ = "0.1.0"
DISTRIBUTION = "hpo-studies"
"""What it is called where packages are installed from; `hpo` is another author's there."""


def load(storage: str, study: str) -> LoadedStudy:
    """The arms, trials and curves of a study as pandas data frames, and its verdict; see `hpo.notebook`."""
    from hpo.notebook import load

    return load(storage, study)


def load_net(file: str | Path) -> Net:
    """The net in a file that `hpo fetch` has written, ready to classify images; see `hpo.trainers.images.nets`."""
    from hpo.trainers.images.nets import load_net

    return load_net(file)


def trial(*, length: int | None = None, seed: int = 0, **values: Any) -> Trial:
    """The trial that this script was started for; by hand, one of these values. See `hpo.client`."""
    from hpo.client import trial

    return trial(length=length, seed=seed, **values)


def __getattr__(name: str) -> Any:
    """What annotations name: `hpo.Trial`."""
    if name == "Trial":
        from hpo.client import Trial

        return Trial
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
