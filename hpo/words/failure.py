"""Why a trial failed, in one line: the exception, and the place in the user's own code where it was raised.

    mynet.py:12 in forward: RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x64 and 784x10)

What is kept of a failed trial is a traceback as text, possibly of another machine, whose paths are not those here.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import NamedTuple

LONGEST = 200
"""Characters of a cause that are shown."""
PACKAGE = Path(__file__).parents[1]
FRAME = re.compile(r'^  File "(?P<path>[^"\n]+)", line (?P<line>\d+), in (?P<function>.+)$', re.MULTILINE)
BEGINS = "Traceback (most recent call last):"
OF_DATABASE = re.compile(r"sqlalchemy\.exc\.\w+: \([\w.]+\) (?P<said>.+)")
"""The class of SQLAlchemy's error, that of the driver's, and the first line of what the database said."""
WRAPPED = "optuna.exceptions.StorageInternalError: "
OF_PROGRAM = re.compile(r"hpo\.trainers\.program\.[\w.]+: (?P<said>.+)")
"""What is said of a user's program that has failed; where in this package it was seen says nothing."""
LIBRARIES = re.compile(r"[/\\](site-packages|dist-packages|lib[/\\]python3[^/\\]*)[/\\]|^<")


class Frame(NamedTuple):
    """One line of a traceback's stack."""

    path: str
    line: str
    function: str


def cause(error: str) -> str:
    """The cause that a traceback tells; of a text that is none, its first line."""
    frames = [Frame(*found.groups()) for found in FRAME.finditer(_last(error))]
    said = _exception(_last(error)) if frames else _first_line(error)
    if not frames:
        return _short(said)
    own = [frame for frame in frames if _is_users(frame.path)]
    if not own and (ours := OF_PROGRAM.match(said)):
        return _short(ours["said"])
    place = (own or frames)[-1]
    return _short(f"{PurePath(place.path).name}:{place.line} in {place.function}: {said}")


def if_the_file_was_wrong(study: str) -> str:
    """What to do about trials that failed because of the study file, which can't be changed under a study."""
    return f"if the study file was wrong: hpo delete {study}, then launch it again, or launch it under another name"


def what_to_do(study: str) -> str:
    """What to do about trials of a study that failed."""
    return f"fix the cause, then: hpo retry {study}; {if_the_file_was_wrong(study)}"


def _last(error: str) -> str:
    """The last of the tracebacks that a chain of exceptions makes: that of the exception that came out.

    Optuna wraps what a database said in an exception that says less.
    """
    *_, before, last = ["", *error.split(BEGINS)]
    return before if f"\n{WRAPPED}" in last and FRAME.search(before) else last


def _exception(traceback: str) -> str:
    """Its class and the first line of its message: what follows the stack, which is indented.

    Of a database's error, what the database said. PyTorch's "Error(s) in loading state_dict for Net:" says nothing
    without the line that follows.
    """
    stack_ends = [found.end() for found in FRAME.finditer(traceback)][-1]
    lines = [line for line in traceback[stack_ends:].splitlines() if line.strip()]
    while lines and lines[0].startswith(" "):
        lines.pop(0)
    if not lines:
        return "unknown"
    if found := OF_DATABASE.match(lines[0]):
        return f"the database said: {found['said']}"
    introduces = lines[0].endswith(":") and len(lines) > 1
    return f"{lines[0]} {lines[1].strip()}" if introduces else lines[0]


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else "unknown"


def _is_users(path: str) -> bool:
    """Whether a file is neither a library's nor one of this package, wherever that is installed."""
    if LIBRARIES.search(path):
        return False
    _, package, inside = path.replace("\\", "/").rpartition(f"/{PACKAGE.name}/")
    return not (package and (PACKAGE / inside).is_file())


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
