"""Which programs a worker may run: those that its operator names in `HPO_PROGRAMS`.

A study file may come from elsewhere. The variable has one command a line, and allows whatever begins with it, word by
word: `python train.py` allows `python train.py --fast`, and `python` allows every script there is.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

from hpo.errors import TargetError

VARIABLE = "HPO_PROGRAMS"


def allowing(programs: Iterable[str]) -> dict[str, str]:
    """The variable as it is, with these commands besides."""
    return {VARIABLE: "\n".join(dict.fromkeys([*_named(), *programs]))}


def check_allowed(command: list[str]) -> None:
    """See that this worker may run the command.

    Raises:
        TargetError: it may not.
    """
    for named in _named():
        try:
            words = shlex.split(named)
        except ValueError as error:
            raise TargetError(f"{VARIABLE} has a line that is not a command: {named!r}: {error}") from None
        if words and command[: len(words)] == words:
            return
    raise TargetError(
        f"this worker may not run {shlex.join(command)}; it may run {', '.join(_named()) or 'no programs for a study'}",
        hint=f"if you trust that program, start the worker with {VARIABLE}={shlex.quote(shlex.join(command[:2]))}",
    )


def _named() -> list[str]:
    return [line.strip() for line in os.environ.get(VARIABLE, "").splitlines() if line.strip()]
