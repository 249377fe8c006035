"""Several processes that train one trial on one machine, as torchrun starts them.

Each calls `hpo.trial()` and its verbs as if it were alone, all of them in the same order, as they must for their
gradients too. The first rank speaks to the worker, once all ranks have made the same call, and passes the answer on: so
all ranks get the same values, save at the same boundary, and end at the same one. What rank 0 reports counts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpo.client.channel import Channel, Line, Socket, end

MEETING_SECONDS = 600.0
"""How long ranks wait for each other at the beginning."""
POLL_SECONDS = 0.02
NAME = "ranks"
"""The socket in the trial's folder at which rank 0 meets the others."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def rank() -> int:
    """The number of this process among those that train the trial."""
    return int(os.environ.get("RANK", "0"))


def ranks() -> int:
    """How many processes train the trial together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def among(path: str) -> Channel:
    """The worker at a socket of this path, for one of several ranks.

    Raises:
        RuntimeError: the ranks do not find each other.
    """
    _end_with_the_parent()
    meeting = Path(path).with_name(NAME)
    return First(Socket(path), meeting, ranks()) if rank() == 0 else Other(meeting, rank())


class First:
    """Rank 0: it asks the worker what all ranks ask, and tells them the answer."""

    def __init__(self, worker: Socket, meeting: Path, ranks: int) -> None:
        self._worker = worker
        self._others: list[Line] = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(meeting))
            listening.listen(ranks)
            listening.settimeout(MEETING_SECONDS)
            while len(self._others) < ranks - 1:
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    raise RuntimeError(
                        f"only {len(self._others) + 1} of {ranks} ranks called hpo.trial() within "
                        f"{MEETING_SECONDS:g} seconds; call it in every rank, and run all ranks on one machine"
                    ) from None
                connection.settimeout(None)
                self._others.append(Line(connection))

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """What the worker answers, once all ranks have asked the same."""
        try:
            for other in self._others:
                _check_alike(message, other.hear())
        except RuntimeError as error:
            self._tell({"error": str(error)})
            raise
        answer = self._worker.ask(message)
        self._tell(answer)
        return answer

    def _tell(self, answer: Mapping[str, Any]) -> None:
        for other in self._others:
            with suppress(BrokenPipeError, ConnectionResetError):  # it has ended, which is seen at the next call
                other.say(answer)


class Other:
    """Any rank but the first."""

    def __init__(self, meeting: Path, rank: int) -> None:
        self._rank = rank
        until = time.monotonic() + MEETING_SECONDS
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(meeting))
                break
            except OSError:
                connection.close()
            if time.monotonic() > until:
                raise RuntimeError(f"rank {rank} waited {MEETING_SECONDS:g} seconds for rank 0 to call hpo.trial()")
            time.sleep(POLL_SECONDS)
        self._line = Line(connection)

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """What the worker has answered rank 0."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._line.say({"rank": self._rank, "say": message["say"], "at": message.get("at")})
        answer = self._line.hear()
        return end(f"rank 0 has ended, so rank {self._rank} ends too") if answer is None else answer


def _check_alike(mine: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> None:
    """See that another rank makes the same call.

    Raises:
        RuntimeError: it does not.
    """
    own = (mine["say"], mine.get("at"))
    if theirs is None:
        raise RuntimeError(
            f"rank 0 is at {_call(*own)}, but another rank has ended: all ranks must make the same calls"
        )
    if own != (theirs["say"], theirs["at"]):
        raise RuntimeError(
            f"rank 0 is at {_call(*own)}, rank {theirs['rank']} at {_call(theirs['say'], theirs['at'])}: "
            "all ranks must make the same calls in the same order"
        )


def _call(say: str, at: float | None) -> str:
    name = {"hello": "hpo.trial()", "moved": "drive() or moved()"}.get(say, f"{say}()")
    return name if at is None else f"{name} at {at:g}"


def _end_with_the_parent() -> None:
    """Let this process end when torchrun does, which starts each rank in a session of its own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
