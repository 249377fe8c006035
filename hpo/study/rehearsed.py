"""What a rehearsal has found: kept beside the study's file, and with the study once it is launched."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, NonNegativeFloat, NonNegativeInt, ValidationError

from hpo.errors import MachineError, StudyFileError
from hpo.study.spec import StudySpec

log = logging.getLogger(__name__)

Outcome = Literal["good", "weak", "bad"]
"""Weak: it can be lived with, if one knows it. Bad: results would mean something else than they seem to."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one run, or two compared, have shown."""

    about: str
    outcome: Outcome
    words: str

    @property
    def line(self) -> str:
        """All of it but how good it is."""
        return f"{self.about}: {self.words}"


class Rehearsal(BaseModel, frozen=True, extra="forbid"):
    """What was found, and what a trial costs."""

    arm: str
    """Whose trial was rehearsed."""
    code: str | None
    """A digest of the user's own code that it ran; None if it ran none."""
    findings: tuple[Finding, ...]
    units: NonNegativeInt
    """Units that the rehearsed trial was long; 0 if it raised, and nobody knows what it costs."""
    seconds_to_start: NonNegativeFloat
    """Seconds of a trial besides those of its units."""
    seconds_per_unit: NonNegativeFloat
    checkpoint_bytes: NonNegativeInt | None
    """None if a trial can't be saved."""

    def of(self, outcome: Outcome) -> list[Finding]:
        """What was found to be so."""
        return [finding for finding in self.findings if finding.outcome == outcome]

    @property
    def is_fit(self) -> bool:
        """Whether nothing bad was found."""
        return not self.of("bad")

    def seconds(self, trials: int, units: int) -> float:
        """What so many trials take, so many units long in all, one after the other."""
        return trials * self.seconds_to_start + units * self.seconds_per_unit


def beside(file: Path) -> Path:
    """Where the rehearsal of the study in `file` is kept: `fading.rehearsal.json` beside `fading.toml`."""
    return file.with_suffix(".rehearsal.json")


def read_rehearsal(text: str | None) -> Rehearsal | None:
    """The rehearsal that is kept with a study as JSON; None if there is none, or another version of hpo wrote it."""
    try:
        return None if text is None else Rehearsal.model_validate_json(text)
    except ValidationError:
        log.warning("the study's stored rehearsal can't be read by this version of hpo, and is left out")
        return None


def rehearsed(study: StudySpec, file: Path) -> Rehearsal | None:
    """What was found of the trial of the study in `file`, if the code that it runs is what it was then.

    Raises:
        StudyFileError: what is kept of it can't be read.
    """
    found = _kept(file)
    if found is None or found.arm not in study.arms:
        return None
    try:
        code = study.trainer.code(study.trials)
    except MachineError:  # the code is elsewhere, where the workers are: nobody can tell
        return found
    if code != found.code:
        log.warning("the program has changed since it was rehearsed; rehearse it again: hpo rehearse %s", file)
        return None
    return found


def _kept(file: Path) -> Rehearsal | None:
    """The rehearsal of the study in `file`; None if there was none.

    Raises:
        StudyFileError: it can't be read.
    """
    path = beside(file)
    try:
        return Rehearsal.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else "it was not written by hpo rehearse"
        raise StudyFileError(f"{path} can't be read: {why}", hint=f"remove it, then: hpo rehearse {file}") from None
