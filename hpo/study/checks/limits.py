"""What the database has to take of a study, checked before anything runs rather than when a worker writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from hpo.search.parameters import parameters
from hpo.search.space import Range, merge
from hpo.study import StudySpec
from hpo.study.protocol import CONFIRM_SEEDS
from hpo.trainers import trainer_of
from hpo.words.explain import quoted, shown

LARGEST_INTEGER = 2**31 - 1
"""The largest number that a column holds."""
LARGEST_EXACT = 2**53
"""The database keeps the value of a parameter as a floating-point number, exact up to here."""
LONGEST_PARAMETER = 512
"""Characters of a parameter's name, in Optuna's tables."""
NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL, and halves of characters, which bytes that are no UTF-8 leave in a command line."""


def what_the_database_takes(study: StudySpec) -> Iterator[str]:
    """A line for everything of the study that the database would refuse."""
    yield from _texts(study.model_dump(), "")
    yield from _integers(study)
    for name, arm in study.arms.items():
        for parameter, what in parameters(arm.search).items():
            at = f"arms.{name}.search.{quoted(parameter)}"
            if len(parameter) > LONGEST_PARAMETER:
                yield f"{at}: {len(parameter)} characters; at most {LONGEST_PARAMETER} are allowed"
            yield from _whole_numbers(what.searched, at)
        yield from _of_a_trial(merge(study.trial, arm.trial), f"arms.{name}.trial")


def _integers(study: StudySpec) -> Iterator[str]:
    protocol = study.protocol
    last = 0
    if protocol.seeding == "counted":
        last = protocol.repeats - 1
        if protocol.confirm is not None:
            last = CONFIRM_SEEDS + protocol.confirm.largest - 1
    if protocol.seed + last > LARGEST_INTEGER:
        beyond = f", since trials have seeds up to {last} above it" if last else ""
        yield f"protocol.seed: at most {LARGEST_INTEGER - last} is allowed{beyond}, not {shown(protocol.seed)}"
    if protocol.attempts > LARGEST_INTEGER:
        yield f"protocol.attempts: at most {LARGEST_INTEGER} are allowed, not {shown(protocol.attempts)}"


def _of_a_trial(trial: Mapping[str, Any], at: str) -> Iterator[str]:
    """What the trainer knows of limits; a trial that is none is told elsewhere."""
    with suppress(ValidationError):
        for line in trainer_of(trial).limits(trial):
            yield f"{at}.{line}"


def _whole_numbers(searched: Any, at: str) -> Iterator[str]:
    if isinstance(searched, Range) and searched.integer:
        for end in (searched.low, searched.high):
            if abs(end) > LARGEST_EXACT:
                yield f"{at}: whole numbers are exact up to {LARGEST_EXACT}, not {end:g}"


def _texts(value: Any, path: str) -> Iterator[str]:
    """Every text, and every key, that can't be stored."""
    if isinstance(value, str):
        if NOT_STORABLE.search(value):
            yield f"{path}: NUL and halves of characters can't be stored, as in {value[:60]!a}"
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _texts(key, f"{path or 'the file'}, a key")
            yield from _texts(below, f"{path}.{quoted(key)}" if path else quoted(key))
    elif isinstance(value, list | tuple):
        for place, below in enumerate(value):
            yield from _texts(below, f"{path}.{place}")
