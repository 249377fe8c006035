"""Signals that ask a process to end: from its first moment on, close together, and where they are the only ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.helpers import wait_until
from tests.machine import require

LISTENER = """
from hpo.process.signals import on_signal
stopped, seen = on_signal(), 0
print("listening", flush=True)
while seen < 4_000:
    seen += stopped.wait(0.00005)
    stopped.clear()
print("the end", flush=True)
"""

WAITS_FOR_EVER = """
import pathlib, threading
pathlib.Path({mark!r}).touch()
threading.Event().wait()
"""


class Importing:
    """The command in the middle of its imports for certain: one of them never comes to an end."""

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "imports"
        for name in ("torch", "sqlalchemy"):  # which are what takes time, of workers and of other commands
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(WAITS_FOR_EVER.format(mark=str(self.mark)))
        self._environment = os.environ | {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}

    @contextmanager
    def begun(self, *arguments: str, under: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
        """Once it imports one of them."""
        with subprocess.Popen(
            [*under, sys.executable, "-m", "hpo", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                wait_until(self.mark.exists)
                yield process
            finally:
                process.kill()


@pytest.fixture
def importing(tmp_path: Path) -> Importing:
    return Importing(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (["worker"], signal.SIGTERM, 4),
        (["worker"], signal.SIGHUP, 4),
        (["worker", "--forever"], signal.SIGINT, 0),
        (["launch-study", "studies/quickstart.toml"], signal.SIGINT, 130),
    ],
    ids=["worker", "terminal closed", "forever", "launch-study"],
)
def test_while_the_command_is_imported(
    importing: Importing, arguments: list[str], number: signal.Signals, code: int
) -> None:
    """It ends at once and without a word, with the exit code that it would have a moment later."""
    with importing.begun(*arguments) as process:
        process.send_signal(number)
        said, _ = process.communicate(timeout=60.0)
    assert (code, "") == (process.returncode, said)


def test_the_first_process_of_a_container(importing: Importing) -> None:
    """The kernel passes on to it only what it handles, and ends it at nothing."""
    require("unshare", packages="util-linux")
    first = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with importing.begun("worker", under=first) as process:
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        said, _ = process.communicate(timeout=60.0)
    assert (4, "") == (process.returncode, said)


def test_no_signal_hangs_another() -> None:
    """A process that gets two at a time, over and over, while it waits for them, sees them all the same."""
    with subprocess.Popen([sys.executable, "-c", LISTENER], stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        assert "listening\n" == listener.stdout.readline()
        deadline = time.monotonic() + 60.0
        while listener.poll() is None and time.monotonic() < deadline:
            listener.send_signal(signal.SIGTERM)
            listener.send_signal(signal.SIGINT)
            time.sleep(0.0005)  # the pace at which they meet in the middle of each other, and not in a pile
        listener.kill()
        assert "the end\n" == listener.stdout.read()


HANGS = """
import ctypes, os
from threading import Thread
from hpo.process.signals import on_signal
stopped = on_signal()
Thread(target=lambda: os._exit(7 if stopped.wait() else 8)).start()
mutex, lock = ctypes.create_string_buffer(128), ctypes.CDLL(None).pthread_mutex_lock
lock(mutex)
print("hangs", flush=True)
lock(mutex)
"""


def test_a_call_that_does_not_come_back() -> None:
    """Other threads hear of a signal although the main thread is in a call that a signal does not end."""
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "hangs\n" == process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        try:
            assert 7 == process.wait(60.0)
        finally:
            process.kill()


LEFT_ALONE = """
import sys
from hpo.process.signals import on_signal
stopped = on_signal()
print("listening", flush=True)
sys.stdin.readline()
print(stopped.is_set(), flush=True)
stopped.wait()
"""


def test_what_nohup_has_switched_off() -> None:
    """A closed terminal's signal stays ignored, while the others are heeded."""
    with subprocess.Popen(
        ["nohup", sys.executable, "-c", LEFT_ALONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert "listening\n" == process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.stdin.write("\n")
        process.stdin.flush()
        assert "False\n" == process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(60.0)
