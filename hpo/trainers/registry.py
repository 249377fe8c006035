"""What trains: each trainer behind one border (`hpo.trainers.trainer`), found by the `[trial]` of a study.

Nothing else in the project knows how a trial is trained. A trainer is imported when it is asked for, by its name here,
so that whoever only plans, reads or reports needs nothing of what training needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, cast

from hpo.metric import Metric
from hpo.trainers.trainer import Trainer

TRAINERS = {"images": "hpo.trainers.images.trainer", "program": "hpo.trainers.program.trainer"}
"""Name -> the module that has it as `TRAINER`."""


@cache
def named(name: str) -> Trainer:
    """The trainer of that name."""
    return cast(Trainer, import_module(TRAINERS[name]).TRAINER)


def default_trainer() -> Trainer:
    """The trainer of a study that says nothing else."""
    return named("images")


def trainer_of(trial: Mapping[str, Any]) -> Trainer:
    """The trainer of a study's `[trial]`: that of programs if it names one."""
    return named("program") if "program" in trial else default_trainer()


def default_objective() -> Metric:
    """What studies are judged by that say nothing else."""
    trainer = default_trainer()
    return trainer.metrics({})[trainer.objective({})]
