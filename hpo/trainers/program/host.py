"""One process for one trial: started, listened to, given what it asks for, and ended with all that it has started.

    worker                                   program (hpo.client, or whatever speaks so)
      │ ──────────── starts ──────────────────▶ │
      │ ◀─ {"say": "hello"} ──────────────────  │   its values, seed, length, where to go on
      │ ◀─ {"say": "moved", "at": 3.25} ──────  │   the values that move, as they are then
      │ ◀─ {"say": "report", "at": 4, …} ─────  │   save? go on?
      │ ◀─ {"say": "finish", …} ──────────────  │

A line of JSON each way. The program is never handed the database: neither its URL nor a password.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpo.client import CHECKPOINT, FOLDER, SOCKET
from hpo.process import pulse
from hpo.trainers.program.checkpoint import Checkpoint, packed
from hpo.trainers.program.spec import ProgramSpec
from hpo.trainers.program.values import LEARNING_RATE, Values
from hpo.trainers.trainer import Evaluation, Result, Trial

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""How often a silent program is looked at."""
END_SECONDS = 10.0
"""How long a program that has said its last word may take to end."""
TAIL_LINES = 40
"""Lines of output that are kept of a program that has failed."""
SECRET = ("HPO_", "PG")
"""Beginnings of the environment variables that a program does not get."""
OUTPUT = "output"


class ProgramFailed(Exception):
    """The program of a trial has ended as it should not; its last output is part of the message."""


class Host:
    """The process of one trial. `folder` is its own, and holds its checkpoint if it goes on from one."""

    def __init__(
        self, trial: Trial, command: Sequence[str], folder: Path, begin: Checkpoint | None, digest: str
    ) -> None:
        self._trial = trial
        self._config: ProgramSpec = trial.config
        self._command = command
        self._folder = folder
        self._digest = digest
        self._at = begin.at if begin else 0
        self._values = Values(self._config, begin.strengths if begin else None)
        self._metrics: Mapping[str, float] = begin.metrics if begin else {}
        self._values.measured(self._metrics)
        if begin:
            self._values.at(float(self._at))
        self._reported_at = self._heard_at = time.monotonic()
        self._asked_to_stop_at: float | None = None
        self._buffer = b""
        self._test: dict[str, float] | None = None
        self._checkpoint: bytes | None = None
        self._is_over = False

    def run(self) -> Result:
        """Run the program to its end, or until it is pruned or to be let go.

        Raises:
            ProgramFailed: it has ended otherwise, said what makes no sense, or nothing for too long.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(self._folder / "socket"))
            listening.listen(1)
            with (self._folder / OUTPUT).open("ab") as output:
                process = self._start(output)
            try:
                self._serve(listening, process)
                self._wait(process)
            finally:
                _kill(process)
        return Result(
            finished=self._test is not None,
            test=self._test or {},
            checkpoint=self._checkpoint if self._is_over else None,
        )

    def _start(self, output: Any) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(SECRET)}
        environment |= {
            SOCKET: str(self._folder / "socket"),
            FOLDER: str(self._folder),
            "HPO_SEED": str(self._trial.seed),
            "PYTHONUNBUFFERED": "1",
        }
        if self._trial.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        try:
            return subprocess.Popen(
                self._command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that what it starts ends with it
            )
        except OSError as error:
            raise ProgramFailed(f"{self._command[0]} can't be run: {error.strerror}") from None

    def _serve(self, listening: socket.socket, process: subprocess.Popen[bytes]) -> None:
        """Answer the program until it has said its last word, or is to be ended."""
        connection = self._accepted(listening, process)
        if connection is None:
            return
        with connection:
            while not self._is_over and self._test is None:
                message = self._next(connection, process)
                if message is None:
                    return
                self._send(connection, self._answer(connection, process, message))

    def _accepted(self, listening: socket.socket, process: subprocess.Popen[bytes]) -> socket.socket | None:
        while not select.select([listening], [], [], POLL_SECONDS)[0]:
            if self._look(process):
                return None
        return listening.accept()[0]

    def _next(self, connection: socket.socket, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        """What the program says next; None if it says nothing any more."""
        while b"\n" not in self._buffer:
            if select.select([connection], [], [], POLL_SECONDS)[0]:
                received = connection.recv(1 << 16)
                if not received:
                    self._wait(process)
                    return None
                self._buffer += received
                self._heard_at = time.monotonic()
                pulse.beat()
            elif self._look(process):
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            raise ProgramFailed(f"the program says {line[:80]!r}, which is not a line of JSON") from None
        return dict(message)

    def _look(self, process: subprocess.Popen[bytes]) -> bool:
        """Look at a program that says nothing; whether it will not be waited for any more."""
        pulse.beat()  # it may train for as long as the study allows without a word
        if process.poll() is not None:
            self._wait(process)
            return True
        now = time.monotonic()
        if now - self._heard_at > self._config.silence:
            raise ProgramFailed(f"the program has said nothing for {self._config.silence:g} seconds{self._tail()}")
        if self._asked_to_stop_at is None and self._trial.should_stop():
            self._asked_to_stop_at = now
        if self._asked_to_stop_at is not None and now - self._asked_to_stop_at > self._config.grace:
            log.warning("the program came to the end of no unit within %g seconds: killed", self._config.grace)
            self._is_over = True  # whoever goes on begins where it was saved last
        return self._is_over

    def _answer(
        self, connection: socket.socket, process: subprocess.Popen[bytes], message: Mapping[str, Any]
    ) -> dict[str, Any]:
        match message:
            case {"say": "hello"}:
                return self._greeting()
            case {"say": "moved", "at": int() | float() as at}:
                self._values.asked = self._values.at(float(at))
                return {"values": self._values.asked}
            case {"say": "report", "at": int(at), "metrics": dict(metrics)}:
                return self._report(connection, process, at, metrics)
            case {"say": "finish", "metrics": dict(metrics)}:
                return self._finish(metrics)
        raise ProgramFailed(f"the program says {str(message)[:200]}, which has no meaning here")

    def _greeting(self) -> dict[str, Any]:
        return {
            "seed": self._trial.seed,
            "length": self._config.units,
            "folder": str(self._folder),
            "values": self._values.stated(),
            "at": self._at,
            "scores_test": self._trial.scores_test,
            "metric": self._config.metric.name,
        }

    def _report(
        self, connection: socket.socket, process: subprocess.Popen[bytes], at: int, metrics: Mapping[str, Any]
    ) -> dict[str, Any]:
        if at != self._at + 1 or at > self._config.units:
            raise ProgramFailed(
                f"the program reports unit {at}; after {self._at} of {self._config.units} that is wrong"
            )
        self._metrics = self._checked(metrics)
        now = time.monotonic()
        evaluation = Evaluation(at, now - self._reported_at, self._metrics | self._traced(at))
        self._at, self._reported_at = at, now
        self._values.measured(self._metrics)
        goes_on = self._trial.report(evaluation, lambda: self._saved(connection, process))
        goes_on = goes_on and evaluation.is_finite(self._config.reported)
        if goes_on and at < self._config.units and self._trial.should_stop():
            self._checkpoint = self._saved(connection, process)
            self._is_over = True
        self._is_over = self._is_over or not goes_on
        self._values.at(float(at))  # policies answer at every boundary, whether the program asks there or not
        return {"goes_on": not self._is_over}

    def _checked(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        wanted = f"validation_{self._config.metric.name}"
        if wanted not in metrics:
            said = ", ".join(metrics) or "nothing"
            raise ProgramFailed(f"the program reports {said}; the study is judged by {wanted}")
        wrong = [name for name, value in metrics.items() if not isinstance(value, int | float)]
        if wrong:
            raise ProgramFailed(f"the program reports {wrong[0]} = {metrics[wrong[0]]!r}, which is no number")
        return {name: float(value) for name, value in metrics.items()}

    def _traced(self, at: int) -> dict[str, float]:
        """What moved, as it was in the unit that has ended, by the names under which curves keep it."""
        moved = self._values.asked
        if self._values.moving and not moved:
            raise ProgramFailed(
                f"the study moves {', '.join(self._values.moving)}, which the program has not asked for: "
                "call trial.drive(optimizer, at=…) or trial.moved(at)"
            )
        return {name if name == LEARNING_RATE else f"strength.{name}": value for name, value in moved.items()}

    def _saved(self, connection: socket.socket, process: subprocess.Popen[bytes]) -> bytes:
        """A checkpoint, which the program makes now."""
        self._send(connection, {"save": True})
        message = self._next(connection, process)
        if message != {"say": "saved"}:
            raise ProgramFailed(f"the program was asked to save and says {message}{self._tail()}")
        checkpoint = Checkpoint(self._at, self._values.strengths, self._metrics, self._digest)
        return packed(checkpoint, (self._folder / CHECKPOINT).read_bytes())

    def _finish(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        if self._at < self._config.units:
            raise ProgramFailed(f"the program has finished after {self._at} of {self._config.units} units")
        wanted = f"test_{self._config.metric.name}"
        if self._trial.scores_test and wanted not in metrics:
            raise ProgramFailed(f"the confirm phase is scored on test, and finish() gave no {wanted}")
        self._test = {name: float(value) for name, value in metrics.items()} if self._trial.scores_test else {}
        return {}

    def _send(self, connection: socket.socket, answer: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # what it ended with is seen when it is waited for
            connection.sendall(json.dumps(answer).encode() + b"\n")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the program's end, and see that it is one."""
        try:
            code = process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            if not self._is_over and self._test is None:
                raise ProgramFailed(f"the program has closed its connection and goes on{self._tail()}") from None
            log.warning("the program of the trial did not end after its last word: killed")
            return
        if self._is_over or self._test is not None:
            if code != 0:
                log.warning("the program of the trial ended with exit code %d after its last word", code)
            return
        if code != 0:
            how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
            raise ProgramFailed(f"the program has ended with {how}{self._tail()}")
        raise ProgramFailed(f"the program has ended after {self._at} of {self._config.units} units{self._tail()}")

    def _tail(self) -> str:
        lines = (self._folder / OUTPUT).read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "; its last output:\n" + "\n".join(lines) if lines else "; it has written nothing"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
