"""What Optuna calls private and this project uses, all of it, as read in the sources of Optuna 5.0.

Whoever raises the version in pyproject.toml reads these again; `tests/integration/test_optuna_contract.py` and
`test_optuna_storage.py` compare what follows from them with Optuna's own storage.

optuna/storages/_rdb/models.py        the tables, the same since Optuna 3; how values that are not finite are stored
optuna/storages/_rdb/alembic          its migrations
optuna/study/_frozen.py               FrozenStudy, which BaseStorage.get_all_studies returns
optuna/trial/_frozen.py               FrozenTrial._trial_id
optuna/study/study.py                 Study._storage, Study._study_id; the attribute of the metrics' names
optuna/samplers/_tpe, _cmaes          _search_space, by which a sampler knows what all trials have in common
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optuna import Study
from optuna.search_space import IntersectionSearchSpace
from optuna.storages import BaseStorage, _rdb
from optuna.storages._rdb import models
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial
from sqlalchemy import Table

STUDIES: Table = models.StudyModel.__table__
STUDY_USER_ATTRS: Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRS: Table = models.StudySystemAttributeModel.__table__
STUDY_DIRECTIONS: Table = models.StudyDirectionModel.__table__
TRIALS: Table = models.TrialModel.__table__
TRIAL_PARAMS: Table = models.TrialParamModel.__table__
TRIAL_VALUES: Table = models.TrialValueModel.__table__
TRIAL_INTERMEDIATE_VALUES: Table = models.TrialIntermediateValueModel.__table__
TRIAL_USER_ATTRS: Table = models.TrialUserAttributeModel.__table__
TRIAL_SYSTEM_ATTRS: Table = models.TrialSystemAttributeModel.__table__
ALL_TABLES: list[Table] = models.BaseModel.metadata.sorted_tables
"""Those that are referred to before those that refer to them."""

METRIC_NAMES = "study:metric_names"
"""System attribute of a study, as Study.set_metric_names writes it."""
MIGRATIONS = Path(_rdb.__file__).parent / "alembic"


def stored_value(value: float) -> tuple[float | None, Any]:
    """A trial's value as its table keeps it: the number, and the kind of what is none."""
    return models.TrialValueModel.value_to_stored_repr(value)


def stored_intermediate_value(value: float) -> tuple[float | None, Any]:
    """A trial's intermediate value, likewise."""
    return models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)


def id_of(trial: FrozenTrial) -> int:
    """The id of a trial in its storage; its number counts within its study."""
    return trial._trial_id


def set_id(trial: FrozenTrial, trial_id: int) -> None:
    """Give a trial another id."""
    trial._trial_id = trial_id


def place_of(study: Study) -> tuple[BaseStorage, int]:
    """The storage of a study, and its id there."""
    return study._storage, study._study_id


def inferred_space(sampler: Any) -> IntersectionSearchSpace | None:
    """What a sampler goes on from to know what all trials of a study have in common; None if it asks no such thing."""
    inferred = getattr(sampler, "_search_space", None)
    return inferred if isinstance(inferred, IntersectionSearchSpace) else None


def set_inferred_space(sampler: Any, inferred: IntersectionSearchSpace) -> None:
    """Let a sampler go on from what another one has inferred."""
    sampler._search_space = inferred


__all__ = ["FrozenStudy"]
