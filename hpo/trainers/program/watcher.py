"""A program that does not speak: one that can't be changed, whose reports are read from what it writes.

Its values are words of its command line (`--lr {lr}`), or the JSON file that `HPO_VALUES` names, which is written anew
after each report. What it reports are lines of its output that a regular expression finds, or lines of JSON in a file.
It can't be asked to save, so a trial that is interrupted begins anew.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.client import FOLDER
from hpo.trainers.program.process import OUTPUT, Program, ProgramFailed, running
from hpo.trainers.program.progress import Progress
from hpo.trainers.program.spec import filled
from hpo.trainers.trainer import Result, Trial

POLL_SECONDS = 0.05
"""How often what the program writes is looked at."""
VALUES, REPORTS = "HPO_VALUES", "HPO_REPORTS"
"""The environment variables by which a program finds the two files."""


class Watcher:
    """One trial of such a program."""

    def __init__(self, trial: Trial, command: Sequence[str], folder: Path) -> None:
        self._trial = trial
        self._command = command
        self._folder = folder
        self._progress = Progress(trial)
        config = self._progress.config
        assert config.reports is not None
        self._line = re.compile(config.reports.line) if config.reports.line else None
        self._file = folder / (OUTPUT if self._line else (config.reports.file or "reports.jsonl"))
        self._values = folder / "values.json"
        self._read = 0

    def run(self) -> Result:
        """Run the program to its end, or until it is pruned or to be let go.

        Raises:
            ProgramFailed: it has ended otherwise, or reported what makes no sense.
        """
        self._write_values()
        with running(self._words(self._command), self._folder, self._trial.device, self._given()) as program:
            if not self._follow(program):
                return Result(finished=False)
            has_said_all = self._progress.at == self._progress.config.units
            program.end(has_said_all, f"after {self._progress.how_far}", strict=True)
        test = self._tested()
        return Result(finished=test is not None, test=test or {})

    def _follow(self, program: Program) -> bool:
        """Pass on what is reported until the program has ended; False if the trial ends before."""
        while True:
            has_ended = program.has_ended()  # before what it wrote last is read
            for metrics in self._new_reports(has_ended):
                self._progress.heard()
                if not self._progress.report(self._progress.at + 1, metrics, None):
                    return False
                self._progress.turn()
                self._write_values()
            if has_ended:
                return True
            if self._trial.should_stop():
                return False
            self._progress.check_silence(program.tail)
            time.sleep(POLL_SECONDS)

    def _new_reports(self, is_all: bool) -> list[dict[str, float]]:
        """What the program has reported since the last look, line by line; `is_all`: nothing more will come."""
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
        return [found for line in lines if (found := self._reported(line)) is not None]

    def _reported(self, line: str) -> dict[str, float] | None:
        if self._line is None:
            return _table(line)
        found = self._line.search(line)
        if found is None:
            return None
        try:
            return {name: float(text) for name, text in found.groupdict().items() if text is not None}
        except ValueError:
            raise ProgramFailed(f"the program reports {line[:200]!r}, where a group is no number") from None

    def _tested(self) -> dict[str, float] | None:
        """What the `test` command prints in its last line: a number, or JSON by name; None if the trial is to stop."""
        command = self._progress.config.test
        if not self._trial.scores_test or command is None:
            return self._progress.check_test({})
        folder = self._folder / "test"
        folder.mkdir()
        with running(self._words(shlex.split(command)), folder, self._trial.device, self._given()) as program:
            while not program.has_ended():
                if self._trial.should_stop():
                    return None
                self._progress.check_silence(program.tail)
                time.sleep(POLL_SECONDS)
            program.end(True, "", strict=True)
        lines = (folder / OUTPUT).read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if last.startswith("{"):
            named = {f"test_{name.removeprefix('test_')}": value for name, value in _table(last).items()}
            return self._progress.check_test(named)
        try:
            score = float(last)
        except ValueError:
            raise ProgramFailed(
                f"the last line of the test command is {last[:200]!r}; it has to be a number, or JSON by name"
            ) from None
        return self._progress.check_test({f"test_{self._progress.config.metric.name}": score})

    def _words(self, command: Sequence[str]) -> list[str]:
        known = self._progress.values.stated() | {
            "seed": self._trial.seed,
            "dir": str(self._folder),
            "length": self._progress.config.units,
            "at": 0,
        }
        return [filled(word, known) for word in command]

    def _given(self) -> dict[str, str]:
        return {
            VALUES: str(self._values),
            REPORTS: str(self._file),
            FOLDER: str(self._folder),
            "HPO_SEED": str(self._trial.seed),
            "HPO_PHASE": "confirm" if self._trial.scores_test else "search",
        }

    def _write_values(self) -> None:
        moved = self._progress.values.asked = self._progress.values.at(float(self._progress.at))
        fresh = self._values.with_suffix(".new")
        fresh.write_text(json.dumps(self._progress.values.stated() | moved | {"at": self._progress.at}))
        fresh.replace(self._values)


def _table(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ProgramFailed(f"the program reports {line[:200]!r}, which is no table in JSON")
    return found
