"""Reports from lines of text: those of a program's output that a regular expression finds, or of JSON in a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hpo.trainers.program.process import ProgramFailed


class Lines:
    """The lines of a file that grows, each a report or none."""

    def __init__(self, file: Path, expression: str | None = None) -> None:
        """Read JSON, or what the groups of `expression` find."""
        self._file = file
        self._expression = re.compile(expression) if expression else None
        self._read = 0

    def new(self, is_all: bool) -> list[dict[str, float]]:
        """The reports since the last look; `is_all`: nothing more will come, so the last line may lack its end.

        Raises:
            ProgramFailed: a line makes no sense.
        """
        if not self._file.exists():
            return []
        with self._file.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole, newline, rest = new.rpartition(b"\n")
        if is_all and rest:
            whole, newline = new, b""
        self._read += len(whole) + len(newline)
        lines = [line for line in whole.decode(errors="replace").split("\n") if line.strip()]
        return [found for line in lines if (found := self._report(line)) is not None]

    def _report(self, line: str) -> dict[str, float] | None:
        if self._expression is None:
            return table(line)
        found = self._expression.search(line)
        if found is None:
            return None
        try:
            return {name: float(text) for name, text in found.groupdict().items() if text is not None}
        except ValueError:
            raise ProgramFailed(f"the program reported {line[:200]!r}, in which a group is not a number") from None


def table(line: str) -> dict[str, Any]:
    """What a line of JSON says by name.

    Raises:
        ProgramFailed: it is none.
    """
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ProgramFailed(f"the program reported {line[:200]!r}, which is not a JSON object")
    return found
