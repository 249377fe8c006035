"""Where a trial's messages go: a line of JSON each way."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from typing import Any, NoReturn, Protocol


class Channel(Protocol):
    """Where a message is answered."""

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a message."""


class Line:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r", encoding="utf-8")

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> dict[str, Any] | None:
        """What the other end says next; None if it says nothing any more."""
        line = self._lines.readline()
        found: dict[str, Any] | None = json.loads(line) if line else None
        return found


class Socket:
    """The worker itself, at the other end of a socket: a line of JSON each way."""

    def __init__(self, path: str) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except OSError:
            raise RuntimeError(
                "the trial belongs to another process; call hpo.trial() only in the process that the worker starts"
            ) from None
        self._line = Line(connection)

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """What the worker answers."""
        self._line.say(message)
        answer = self._line.hear()
        return end("the worker of this trial has ended") if answer is None else answer


def end(why: str) -> NoReturn:
    """End this process, which nobody listens to any more."""
    print(f"hpo: {why}", file=sys.stderr)
    sys.exit(1)
