"""A program that speaks: one that calls `hpo.trial()`, listened to over a socket and given what it asks for.

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
import re
import select
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpo.client import CHECKPOINT, SOCKET
from hpo.trainers.program.checkpoint import Checkpoint, packed
from hpo.trainers.program.process import Program, ProgramFailed, running
from hpo.trainers.program.progress import Progress
from hpo.trainers.trainer import Result, Trial

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""How often a silent program is looked at."""


class Host:
    """One trial of such a program. `folder` is its own, and holds its checkpoint if it goes on from one."""

    def __init__(
        self, trial: Trial, command: Sequence[str], folder: Path, begin: Checkpoint | None, digest: str
    ) -> None:
        self._trial = trial
        self._command = command
        self._folder = folder
        self._digest = digest
        self._progress = Progress(trial, begin)
        self._asked_to_stop_at: float | None = None
        self._buffer = b""
        self._test: dict[str, float] | None = None
        self._checkpoint: bytes | None = None
        self._weights: bytes | None = None
        self._has_spoken = False
        self._is_over = False
        """Whether the trial ends here, finished or not."""

    def run(self) -> Result:
        """Run the program to its end, or until it is pruned or to be let go.

        Raises:
            ProgramFailed: it has ended otherwise, said what makes no sense, or nothing for too long.
        """
        path = self._folder / "socket"
        given = {SOCKET: str(path), "HPO_SEED": str(self._trial.seed)}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(path))
            listening.listen(1)
            words = self._progress.words(self._command, self._folder)
            with running(words, self._folder, self._trial.device, given) as program:
                self._serve(listening, program)
                if self._is_over or not self._was_given_up:
                    program.end(self._is_over, self._how_it_ended())
        return Result(self._test is not None, self._test or {}, self._checkpoint, self._weights)

    def _how_it_ended(self) -> str:
        """How far it came, if it has ended before its time."""
        if not self._has_spoken:
            return "without calling hpo.trial()"
        if self._progress.at == self._progress.config.units:
            return "after all its units, but without calling trial.finish()"
        return f"after {self._progress.how_far}"

    @property
    def _was_given_up(self) -> bool:
        """Whether the program is still in the middle of a unit, and will not be waited for."""
        grace = self._progress.config.grace
        return self._asked_to_stop_at is not None and time.monotonic() - self._asked_to_stop_at > grace

    def _serve(self, listening: socket.socket, program: Program) -> None:
        """Answer the program until it has said its last word, or is to be ended."""
        while not select.select([listening], [], [], POLL_SECONDS)[0]:
            if not self._waits_on(program):
                return
        connection, _ = listening.accept()
        listening.close()  # whoever comes second is told so, and does not wait for ever
        with connection:
            while not self._is_over:
                message = self._next(connection, program)
                if message is None:
                    return
                self._send(connection, self._answer(connection, program, message))

    def _next(self, connection: socket.socket, program: Program) -> dict[str, Any] | None:
        """What the program says next; None if it says nothing any more."""
        while b"\n" not in self._buffer:
            if select.select([connection], [], [], POLL_SECONDS)[0]:
                try:
                    received = connection.recv(1 << 16)
                except ConnectionResetError:  # it has ended with an answer unread
                    received = b""
                if not received:
                    return None
                self._buffer += received
                self._progress.heard()
            elif not self._waits_on(program):
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError):
            raise ProgramFailed(f"the program sent {line[:80]!r}, which is not a line of JSON") from None

    def _waits_on(self, program: Program) -> bool:
        """Whether a program that says nothing at this moment will be waited for."""
        self._progress.check_silence(program.tail)
        if program.has_ended():
            return False
        if self._asked_to_stop_at is None and self._trial.should_stop():
            self._asked_to_stop_at = time.monotonic()
        if self._was_given_up:
            log.warning(
                "the program did not reach the end of a unit within its grace: killed; it continues from its last save"
            )
        return not self._was_given_up

    def _answer(self, connection: socket.socket, program: Program, message: Mapping[str, Any]) -> dict[str, Any]:
        match message:
            case {"say": "hello"}:
                self._has_spoken = True
                return self._greeting()
            case {"say": "moved", "at": int() | float() as at}:
                self._progress.values.asked = self._progress.values.at(float(at))
                return {"values": self._progress.values.asked}
            case {"say": "report", "at": int(at), "metrics": dict(metrics)}:
                return self._report(connection, program, at, metrics)
            case {"say": "finish", "metrics": dict(metrics)}:
                return self._finish(metrics)
        raise ProgramFailed(f"the program sent {str(message)[:200]}, which is not expected here")

    def _greeting(self) -> dict[str, Any]:
        config = self._progress.config
        return {
            "seed": self._trial.seed,
            "length": config.units,
            "folder": str(self._folder),
            "values": self._progress.values.stated(),
            "at": self._progress.at,
            "scores_test": self._trial.scores_test,
            "metric": config.metric.name,
        }

    def _report(
        self, connection: socket.socket, program: Program, at: int, metrics: Mapping[str, Any]
    ) -> dict[str, Any]:
        goes_on = self._progress.report(at, metrics, lambda: self._saved(connection, program))
        is_last = at == self._progress.config.units
        if goes_on and not is_last and self._trial.should_stop():
            self._checkpoint = self._saved(connection, program)
            goes_on = False
        if goes_on and is_last and self._trial.keeps_weights:
            self._weights = self._saved(connection, program)
        self._is_over = not goes_on
        self._progress.turn()
        return {"goes_on": goes_on}

    def _saved(self, connection: socket.socket, program: Program) -> bytes:
        """A checkpoint, which the program makes now; that it takes a while is no reason to give it up."""
        self._asked_to_stop_at = None
        self._send(connection, {"save": True})
        message = self._next(connection, program)
        if message != {"say": "saved"}:
            raise ProgramFailed(f"the program was asked to save, but sent {message}{program.tail()}")
        return packed(
            self._progress.checkpoint(self._digest), {file.name: file.read_bytes() for file in self._kept_files()}
        )

    def _kept_files(self) -> list[Path]:
        """What the program has saved: a file, or one of each rank."""
        found = self._folder.glob(f"{CHECKPOINT}*")
        return sorted(file for file in found if re.fullmatch(rf"{CHECKPOINT}(-\d+)?", file.name))

    def _finish(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        if self._progress.at < self._progress.config.units:
            raise ProgramFailed(f"the program called trial.finish() too early, after {self._progress.how_far}")
        self._test = self._progress.check_test(metrics)
        self._is_over = True
        return {}

    def _send(self, connection: socket.socket, answer: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # what it ended with is seen when it is waited for
            connection.sendall(json.dumps(answer).encode() + b"\n")
