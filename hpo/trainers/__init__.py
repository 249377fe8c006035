"""What trains: each trainer behind one border (`trainer`), found by the `[trial]` of a study (`registry`)."""

from __future__ import annotations

from hpo.trainers.registry import TRAINERS, default_objective, default_trainer, named, trainer_of
from hpo.trainers.trainer import Source

__all__ = ["TRAINERS", "Source", "default_objective", "default_trainer", "named", "trainer_of"]
