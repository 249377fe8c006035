"""A program that does not speak: one that can't be changed, whose reports are read from what it writes.

Its values are words of its command line (`--lr {lr}`), or the JSON file that `HPO_VALUES` names, which is written anew
after each report. What it reports are lines of its output that a regular expression finds, lines of JSON in a file, or
scalars in TensorBoard's event files.
It can't be asked to save: an interrupted trial goes on from a file that the program itself writes, or begins anew.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hpo.client import FOLDER
from hpo.errors import CheckpointError
from hpo.trainers.program.checkpoint import Checkpoint, packed
from hpo.trainers.program.event_files import EventFiles
from hpo.trainers.program.lines import Lines, table
from hpo.trainers.program.process import OUTPUT, Program, ProgramFailed, last_output, running
from hpo.trainers.program.progress import Progress
from hpo.trainers.program.spec import MARK, Reports
from hpo.trainers.trainer import Result, Trial

POLL_SECONDS = 0.05
"""How often what the program writes is looked at."""
SETTLE_LOOKS = 200
"""How often a file that goes on changing is looked at."""
REPORTED = "reports.jsonl"
"""The file of reports of a program that reports elsewhere: it is given one all the same."""
VALUES, REPORTS = "HPO_VALUES", "HPO_REPORTS"
"""The environment variables by which a program finds the two files."""


class Watcher:
    """One trial of such a program."""

    def __init__(
        self, trial: Trial, command: Sequence[str], folder: Path, begin: Checkpoint | None, digest: str
    ) -> None:
        self._trial = trial
        self._command = command
        self._folder = folder
        self._begin = begin
        self._digest = digest
        self._progress = Progress(trial, begin)
        self._marks: Sequence[float] = begin.marks if begin else ()
        """The numbers of the last two reports, if they have any."""
        config = self._progress.config
        assert config.reports is not None
        self._file = folder / (config.reports.file or REPORTED)
        self._reports = _reader(config.reports, folder, self._file)
        self._values = folder / "values.json"

    def run(self) -> Result:
        """Run the program to its end, or until it is pruned or to be let go.

        Raises:
            ProgramFailed: it has ended otherwise, or reported what makes no sense.
            CheckpointError: as this, after it was to go on from a file of its own.
        """
        try:
            return self._run()
        except ProgramFailed as error:
            if self._begin is None:
                raise
            # Its file may be half written, or be from between two reports: its beginning needs none.
            raise CheckpointError(f"the program did not continue from {self._resume_file}: {error}") from error

    def _run(self) -> Result:
        self._write_values()
        words = self._progress.words(self._whole_command(), self._folder)
        with running(words, self._folder, self._trial.device, self._given()) as program:
            how = self._follow(program)
            if how == "over":
                return Result(finished=False)
            if how == "to stop":
                return Result(finished=False, checkpoint=self._let_go(program))
            has_said_all = self._progress.at == self._progress.config.units
            program.end(has_said_all, f"after {self._progress.how_far}", strict=True)
        weights = self._learned() if self._trial.keeps_weights else None
        test = self._tested()
        return Result(finished=test is not None, test=test or {}, weights=weights)

    def _learned(self) -> bytes:
        """The file that the program has left.

        Raises:
            ProgramFailed: there is none.
        """
        if self._resume_file is None or not self._resume_file.exists():
            raise ProgramFailed(f"the program has not written {self._resume_file}, which should be kept as its weights")
        return self._saved()

    def _whole_command(self) -> list[str]:
        """The command and, if it is to go on from its file, the words that make it."""
        resume = self._progress.config.resume
        added = shlex.split(resume.add) if self._begin is not None and resume is not None and resume.add else []
        return [*self._command, *added]

    def _follow(self, program: Program) -> Literal["ended", "to stop", "over"]:
        """Pass on what is reported until the program has ended or is to stop, or until the trial is over."""
        while True:
            has_ended = program.has_ended()  # before what it wrote last is read
            if not self._pass_on(has_ended):
                return "over"
            if has_ended:
                return "ended"
            if self._trial.should_stop():
                return "to stop"
            self._progress.check_silence(program.tail)
            time.sleep(POLL_SECONDS)

    def _pass_on(self, is_all: bool) -> bool:
        """Pass on what was reported since the last look; whether the trial goes on."""
        for metrics in self._reports.new(is_all):
            self._progress.heard()
            if not self._is_new(metrics.pop(MARK, None)):
                continue
            save = self._saved if self._resume_file is not None and self._resume_file.exists() else None
            if not self._progress.report(self._progress.at + 1, metrics, save):
                return False
            self._progress.turn()
            self._write_values()
        return True

    def _is_new(self, mark: Any) -> bool:
        """Whether a report of this number was not passed on yet; a program that was resumed repeats some.

        Raises:
            ProgramFailed: it has left some out.
        """
        if self._progress.config.resume is None:
            return True
        if not isinstance(mark, int | float):
            raise ProgramFailed(f"the program's reports need a number called {MARK}, because `resume` is set")
        if self._marks and mark <= self._marks[-1]:
            return False
        if self._begin is not None and self._marks == self._begin.marks and _leaves_out(self._marks, mark):
            raise ProgramFailed(
                f"the program reported {mark:g} after {self._marks[1]:g}: reports in between are missing"
            )
        self._marks = (*self._marks[-1:], float(mark))
        return True

    @property
    def _resume_file(self) -> Path | None:
        resume = self._progress.config.resume
        return None if resume is None else self._folder / resume.file

    def _saved(self) -> bytes:
        """A checkpoint of the file as it is once nobody writes to it; what it is behind of is trained again."""
        assert self._resume_file is not None
        checkpoint = self._progress.checkpoint(self._digest, self._marks)
        return packed(checkpoint, {self._resume_file.name: _settled(self._resume_file)})

    def _let_go(self, program: Program) -> bytes | None:
        """Where to go on, of a program that is asked to save and to end; None if it has no file yet.

        One that does not know how dies of the signal, perhaps while it writes: then the file counts as it was before.
        """
        file = self._resume_file
        if file is None:
            return None
        before = self._saved() if file.exists() else None
        program.terminate()
        until = time.monotonic() + self._progress.config.grace
        while not program.has_ended() and time.monotonic() < until:
            self._progress.heard()
            time.sleep(POLL_SECONDS)
        if not program.has_succeeded or not self._pass_on(is_all=True):
            return before
        return self._saved() if file.exists() else None

    def _tested(self) -> dict[str, float] | None:
        """What the `test` command prints in its last line: a number, or JSON by name; None if the trial is to stop."""
        command = self._progress.config.test
        if not self._trial.scores_test or command is None:
            return self._progress.check_test({})
        folder = self._folder / "test"
        folder.mkdir()
        words = self._progress.words(shlex.split(command), self._folder)
        with running(words, folder, self._trial.device, self._given()) as program:
            while not program.has_ended():
                if self._trial.should_stop():
                    return None
                self._progress.check_silence(program.tail)
                time.sleep(POLL_SECONDS)
            program.end(True, "", strict=True)
        lines = last_output(folder).split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if last.startswith("{"):
            named = {f"test_{name.removeprefix('test_')}": value for name, value in table(last).items()}
            return self._progress.check_test(named)
        try:
            score = float(last)
        except ValueError:
            raise ProgramFailed(
                f"the last line of the test command is {last[:200]!r}; it must be a number, or JSON by name"
            ) from None
        return self._progress.check_test({f"test_{self._progress.config.metric.name}": score})

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


def _reader(reports: Reports, folder: Path, file: Path) -> Lines | EventFiles:
    if reports.tensorboard is not None:
        return EventFiles(folder / reports.tensorboard, reports.tags)
    return Lines(folder / OUTPUT, reports.line) if reports.line else Lines(file)


def _leaves_out(marks: Sequence[float], mark: float) -> bool:
    """Whether the step from the last number to the next is clearly more than the one before."""
    return len(marks) == 2 and mark - marks[1] > 1.5 * (marks[1] - marks[0])


def _settled(file: Path) -> bytes:
    """What is in a file once two looks find it the same; after `SETTLE_LOOKS` as it is."""
    for _ in range(SETTLE_LOOKS):
        before = file.stat()
        time.sleep(POLL_SECONDS)
        content = file.read_bytes()
        after = file.stat()
        if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
            return content
    return content
