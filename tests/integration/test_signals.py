"""Signals that come close together, as from a scheduler that ends a job and from the launcher at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

LISTENER = """
from hpo.signals import on_signal
stopped, seen = on_signal(), 0
print("listening", flush=True)
while seen < 4_000:
    seen += stopped.wait(0.00005)
    stopped.clear()
print("the end", flush=True)
"""


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
