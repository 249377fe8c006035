"""What programs do that they should not: bad habits, which must not change what is measured.

They are drawn anew in each attempt, so that the same cell meets several. With `CALM` in its environment a program has
none, and loses no time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

CALM = "CALM"
MEGABYTES = 64
"""That a talkative program prints."""
UNIT_SECONDS = 0.06
"""How long a unit takes, to be struck in."""


def is_calm() -> bool:
    """Whether this is the undisturbed run."""
    return CALM in os.environ


def by_chance() -> bool:
    """Every other time, whatever the seed: training must not depend on it."""
    return not is_calm() and os.urandom(1)[0] < 128


def take_up(habit: str) -> None:
    """Begin with a habit that needs no more than a beginning."""
    if not is_calm() and habit in BEGINNINGS:
        BEGINNINGS[habit]()


def work() -> None:
    """The time that a unit takes."""
    if not is_calm():
        time.sleep(UNIT_SECONDS)


def _deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _leaves_a_fork() -> None:
    """It has the program's connection to its worker too, and never speaks."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()


def _leaves_a_session() -> None:
    subprocess.Popen(["sleep", "3600"], start_new_session=True)


def _prints() -> None:
    if by_chance():
        line = "x" * 1023 + "\n"
        for _ in range(MEGABYTES):
            sys.stdout.write(line * 1024)
        sys.stdout.flush()


BEGINNINGS = {"deaf": _deaf, "fork": _leaves_a_fork, "session": _leaves_a_session, "prints": _prints}
