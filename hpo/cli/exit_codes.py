"""Where errors become messages and exit codes: ours, the database's and the file system's. Others are bugs."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from hpo.cli.terminal import say
from hpo.errors import HpoError, UserError

P = ParamSpec("P")
R = TypeVar("R")

INTERRUPTED = 130
PLACE = "give another place, or change what may be done there"
HINTS = {
    errno.EACCES: PLACE,
    errno.EPERM: PLACE,
    errno.EROFS: PLACE,
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a part of it is not a folder",
    errno.EISDIR: "check the path: it is a folder",
    errno.EEXIST: "check the path: a file is there that is not a folder",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ELOOP: "check the path: its links go round in a circle",
}
"""What a person can do about an error of the file system that stays until somebody does it."""
FULL = (errno.ENOSPC, errno.EDQUOT)


def exit_codes(command: Callable[P, R]) -> Callable[P, R]:
    """A verb whose errors end the process with a message, a hint, and the code that `hpo.errors` gives."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except Exception as error:
            known = explained(error, str(kwargs.get("storage", "")))
            if known is None:
                raise
        say(f"error: {known}", err=True)
        if known.hint:
            say(f"hint: {known.hint}", err=True)
        sys.exit(known.exit_code)

    return run


def explained(error: Exception, storage: str = "") -> HpoError | None:
    """The error as one of ours; None if it is nothing that is expected to happen. `storage` is the verb's URL."""
    if isinstance(error, HpoError):
        return error
    if isinstance(error, OSError):
        return of_file_system(error)
    if storage and _is_of_database(error):
        return of_database(error, storage)
    return None


def of_file_system(error: OSError) -> HpoError:
    """What was to be read or written, and why that can't be."""
    parts = [str(part) for part in (error.filename, error.strerror or error) if part is not None]
    message = ": ".join(parts)
    if error.errno in HINTS:
        return UserError(message, hint=HINTS[error.errno])
    return HpoError(message, hint="make room there" if error.errno in FULL else "")


def of_database(error: Exception, storage: str) -> HpoError:
    """What the database said, and what to do about it."""
    from hpo.storage.connection.sqlstate import describe
    from hpo.storage.connection.url import parse_url

    return describe(error, parse_url(storage))


def _is_of_database(error: Exception) -> bool:
    if "sqlalchemy" not in sys.modules:
        return False  # then it is no database's, and importing it takes long
    from hpo.storage.connection.sqlstate import is_database_error

    return is_database_error(error)
