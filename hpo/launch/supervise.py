"""Workers of this machine, looked after until all have ended: one rule says who is started anew.

0           done                            stays away
1, signal   failed, or was killed           is started anew after a pause, a few times in a row
2           a person must mend something    stays away, and so for
3           this machine can't
4           was asked to stop
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event

from hpo.errors import HpoError, SickMachine, UserError, WorkLeft
from hpo.launch.local import LocalWorker, RelayedWorker

LOOK_SECONDS = 0.2
"""Seconds between two looks at the workers."""
GRACE_SECONDS = 120.0
"""Seconds that workers have which were asked to stop, before they are killed."""

Start = Callable[[int], LocalWorker | RelayedWorker]
"""Starts the worker of this number."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often a worker that failed is started anew, and when."""

    in_a_row: int = 5
    pause: float = 1.0
    """Seconds before the first one; each further pause is twice as long."""
    longest_pause: float = 60.0
    long_life: float = 300.0
    """Seconds; when a worker has lived that long, its earlier failures don't count any more."""

    def pause_after(self, failures: int) -> float:
        """Seconds after so many failures in a row."""
        return min(self.pause * 2.0 ** (failures - 1), self.longest_pause)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker ended."""

    code: int
    """Its exit code; the number of the signal below zero, if it was one."""
    said: str = ""
    """Its last words, unless they were passed on."""

    def __str__(self) -> str:
        how = f"exit code {self.code}" if self.code >= 0 else f"ended by {_name(-self.code)}"
        return f"{how}: {self.said}" if self.said and self.code != 0 else how


NOT_BEGUN = Ended(WorkLeft.exit_code)
KINDS = {kind.exit_code: kind for kind in (HpoError, UserError, SickMachine, WorkLeft)}
"""Exit code -> the error that gives it."""


def supervise(
    start: Start,
    count: int,
    say: Callable[[str], None],
    stop: Event,
    look: Callable[[], None] = lambda: None,
    restarts: Restarts = Restarts(),
    grace: float = GRACE_SECONDS,
    goes_on: Callable[[], bool] = lambda: True,
) -> list[Ended]:
    """Run `count` workers until all have ended or `stop` is set; returns how each ended at last.

    `look` is called again and again meanwhile. Whatever it raises, no worker is left running. A worker that failed
    stays away if what it worked on no longer `goes_on`.
    """
    places = [_Place(number, start, say, restarts, goes_on) for number in range(count)]
    try:
        while any(place.ended is None for place in places):
            look()
            for place in places:
                place.look()
            if stop.wait(LOOK_SECONDS):
                break
    finally:
        left = [place for place in places if place.ended is None]
        for place in left:
            place.ask_to_stop()
        deadline = time.monotonic() + grace
        for place in left:
            place.await_end(deadline)
    return [place.ended or NOT_BEGUN for place in places]


def exit_code(ended: Sequence[Ended], *, forever: bool = False) -> int:
    """One exit code for several workers: what a person must mend comes first, then what this machine can't do.

    That work is left is nothing to tell of workers that were to run `forever`.
    """
    codes = {worker.code for worker in ended} - {0}
    if not codes or (forever and codes == {WorkLeft.exit_code}):
        return 0
    for code in (UserError.exit_code, SickMachine.exit_code):
        if code in codes:
            return code
    return WorkLeft.exit_code if codes == {WorkLeft.exit_code} else HpoError.exit_code


class _Place:
    """One of the workers, whichever process it is at present."""

    def __init__(
        self,
        number: int,
        start: Start,
        say: Callable[[str], None],
        restarts: Restarts,
        goes_on: Callable[[], bool],
    ) -> None:
        self._number = number
        self._start = start
        self._restarts = restarts
        self._say_it = say
        self._goes_on = goes_on
        self._worker: LocalWorker | RelayedWorker | None = None
        self._begins_at = time.monotonic()
        self._failures = 0
        self.ended: Ended | None = None
        """How it ended for good."""

    def look(self) -> None:
        """Start it if it is time to, and see whether it has ended."""
        if self.ended is not None:
            return
        if self._worker is not None:
            code = self._worker.process.poll()
            if code is not None:
                self._settle(Ended(code, self._worker.last_words()))
        elif time.monotonic() >= self._begins_at:
            self._begin()

    def ask_to_stop(self) -> None:
        """Let it save its trial and go."""
        if self._worker is not None and self._worker.process.poll() is None:
            self._worker.process.terminate()

    def await_end(self, deadline: float) -> None:
        """Wait for a worker that was asked to stop; kill it at the deadline."""
        if self._worker is None:
            self.ended = NOT_BEGUN
            return
        process = self._worker.process
        try:
            code = process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            self._say("has not ended in time and is killed; another worker continues its trial")
            process.kill()
            code = process.wait()
        said = self._worker.last_words()
        # Killed by the question whether it would stop: it had not begun yet.
        self.ended = NOT_BEGUN if code == -signal.SIGTERM else Ended(code, said)
        self._say(str(self.ended))

    def _begin(self) -> None:
        self._begins_at = time.monotonic()
        try:
            self._worker = self._start(self._number)
        except OSError as error:  # no memory or no more processes for it, as after some time there may be
            self._settle(Ended(HpoError.exit_code, f"it can't be started: {error.strerror}"))

    def _settle(self, ended: Ended) -> None:
        """Begin anew after a pause, or leave it at that."""
        self._worker = None
        failed = ended.code < 0 or ended.code == HpoError.exit_code
        if not failed or not self._goes_on():
            self.ended = ended
            self._say(str(ended))
            return
        lived = time.monotonic() - self._begins_at
        self._failures = 1 if lived >= self._restarts.long_life else self._failures + 1
        if self._failures > self._restarts.in_a_row:
            self.ended = ended
            self._say(f"{ended}\nnot started again: it has failed {self._failures} times in a row")
            return
        pause = self._restarts.pause_after(self._failures)
        self._begins_at = time.monotonic() + pause
        self._say(f"{ended}\nstarting again in {pause:g} s ({self._failures} of {self._restarts.in_a_row})")

    def _say(self, text: str) -> None:
        for line in text.splitlines():
            with suppress(OSError, HpoError):  # nobody hears it, as on a full disk: the workers go on
                self._say_it(f"[{self._number}] {line}")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
