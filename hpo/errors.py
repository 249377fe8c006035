"""The errors of `hpo`, and the exit code of each.

    HpoError                    1   something failed; trying again may help
    ├── UserError               2   the user can mend it: what was given, what is allowed, what to do
    │   ├── StudyFileError          the study file, or a value set over it
    │   ├── StudyError              a study of that name: unknown, another plan, in the wrong state
    │   ├── StorageError            the storage: URL, server, password, schema version
    │   └── MachineError            this machine lacks what a trial needs; another may have it
    │       ├── DataError               the images: missing, unreadable, not those the study began with
    │       └── TargetError             a user's own code: not allowed, not installed
    ├── SickMachine             3   this machine fails where others may not: a faulty or full device
    ├── WorkLeft                4   asked to stop, while there is work left that others may go on with
    ├── LeaseLost               1   another worker holds the cell now: drop it, write nothing more
    ├── OptunaStudyGone         1   an Optuna study of ours is missing: make it again from the ledger
    └── CheckpointError         1   a checkpoint that can't be read: begin the trial anew

Only `hpo.cli` turns them into exit codes. A message never holds a password.
"""

from __future__ import annotations


class HpoError(Exception):
    """Base of every error that `hpo` raises on purpose; `hint` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UserError(HpoError):
    """Something the user can mend."""

    exit_code = 2


class StudyFileError(UserError):
    """A study file, or a value set over it, that can't be used."""


class StudyError(UserError):
    """A study in the storage that is unknown, differs, or is in the wrong state for what was asked."""


class StorageError(UserError):
    """A storage that can't be opened."""


class MachineError(UserError):
    """What a trial needs and this machine lacks: the trial is given back, for another machine may have it."""


class TargetError(MachineError):
    """Code of a user's own that this machine may not run, or does not have."""


class DataError(MachineError):
    """Images that are missing, unreadable or not those the study began with."""


class SickMachine(HpoError):
    """This machine fails where others may not; what it held is given back, and it had better not be asked again."""

    exit_code = 3


class WorkLeft(HpoError):
    """Asked to stop, while there is work left: who counts processes that ended with 0 as done must not be misled."""

    exit_code = 4


class LeaseLost(HpoError):
    """The cell's token changed: another worker continues it."""


class OptunaStudyGone(HpoError, KeyError):
    """Another tool has removed an Optuna study of ours, or a trial of it; a KeyError, as Optuna's storages raise."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class CheckpointError(HpoError):
    """A checkpoint that is damaged or of another version."""
