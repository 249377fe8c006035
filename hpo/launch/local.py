"""Workers as child processes on this machine: those of `hpo launch-study`, and those of a node."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import IO

from hpo.launch.order import Order

PR_SET_PDEATHSIG = 1  # prctl.h
PRCTL = ctypes.CDLL(None).prctl  # looked up here: little is safe between fork and exec
LOOK_SECONDS = 0.2
"""Between two looks at the workers."""
REPLACEMENTS = 3
"""How often a worker that was killed, as for want of memory, is started anew."""
FAREWELL_SECONDS = 5.0
"""For what an ended worker has written last."""
GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class LocalWorker:
    """A worker process of ours, and the file that holds what it says."""

    process: subprocess.Popen[bytes]
    log: Path


@dataclass(frozen=True, slots=True)
class Task:
    """A worker that is to run here: the options of its own, and the GPU that it alone sees."""

    options: tuple[str, ...]
    gpu: str | None = None

    def environment(self) -> dict[str, str]:
        """What it finds in its environment beside everything else."""
        return {} if self.gpu is None else {GPUS: self.gpu}


def command(studies: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """The command line of a worker for `studies`; holds no URL, since command lines are public on a machine."""
    return [sys.executable, "-m", "hpo", "worker", *studies, *options]


def start(storage_url: str, studies: Sequence[str], log: Path, options: Sequence[str] = ()) -> LocalWorker:
    """Start one worker that writes to a file. It gets SIGTERM if this process dies, so that none is left behind."""
    with log.open("ab") as output:
        return LocalWorker(_spawn(command(studies, options), {"HPO_STORAGE": storage_url}, output), log)


def stop(workers: Sequence[LocalWorker]) -> None:
    """Ask the workers to save and let go, and wait until they have."""
    _ask_to_stop([worker.process for worker in workers])
    for worker in workers:
        worker.process.wait()


def visible_gpus() -> int:
    """How many GPUs this machine offers."""
    return len(gpus())


def gpus() -> list[str]:
    """The GPUs that this machine offers, as CUDA_VISIBLE_DEVICES names them; asks the driver without loading torch."""
    visible = os.environ.get(GPUS)
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip() not in ("", "-1", "NoDevFiles")]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    except OSError:
        return []
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in listed.stdout.splitlines()))]


def tasks(order: Order, device: str, found: Sequence[str]) -> list[Task]:
    """The workers of a node that offers the GPUs `found`: so many on each as ordered, or on `device` if it is named."""
    if device == "auto" and found:
        return [Task(("--device=cuda", *order.options), gpu) for gpu in found for _ in range(order.per_device)]
    return [Task((f"--device={device}", *order.options))] * order.per_device


def text(order: Order, wanted: Sequence[Task]) -> str:
    """The workers as a shell would start them, one a line."""
    lines = []
    for task in wanted:
        settings = [f"{name}={shlex.quote(value)}" for name, value in task.environment().items()]
        lines.append(" ".join([*settings, shlex.join(["hpo", "worker", *order.studies, *task.options])]) + "\n")
    return "".join(lines)


def run(
    order: Order, wanted: Sequence[Task], environment: Mapping[str, str], say: Callable[[str], None], stopped: Event
) -> list[int]:
    """Run the workers until all have ended or `stopped` is set; returns their exit codes.

    `say` gets each line that they write, with their number. One that was killed is started anew, a few times. When
    this process dies they save and let go.
    """

    def begin(place: int) -> tuple[subprocess.Popen[bytes], Thread]:
        task = wanted[place]
        own = {**environment, **task.environment()}
        process = _spawn(command(order.studies, task.options), own, subprocess.PIPE)
        relay = Thread(target=_relay, args=(process.stdout, f"[{place}] ", say), daemon=True)
        relay.start()
        return process, relay

    running = {place: begin(place) for place in range(len(wanted))}
    codes, killed, stopping = {}, 0, False
    while running:
        if stopping:
            time.sleep(LOOK_SECONDS)
        elif stopped.wait(LOOK_SECONDS):
            stopping = True
            _ask_to_stop([process for process, _ in running.values()])
        for place, (process, relay) in list(running.items()):
            if (code := process.poll()) is None:
                continue
            relay.join(timeout=FAREWELL_SECONDS)
            say(f"[{place}] exit code {code}" if code >= 0 else f"[{place}] ended by {signal.Signals(-code).name}")
            if code < 0 and not stopping and killed < REPLACEMENTS * len(wanted):
                killed += 1
                running[place] = begin(place)
                continue
            codes[place] = 0 if stopping and code == -signal.SIGTERM else code  # it had not begun to listen yet
            del running[place]
    return [codes[place] for place in sorted(codes)]


def _relay(pipe: IO[bytes], prefix: str, say: Callable[[str], None]) -> None:
    """Pass on what a worker writes."""
    for line in pipe:
        say(prefix + line.decode(errors="replace").rstrip("\n"))


def _spawn(command: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def follow_parent() -> None:
        PRCTL(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches the launcher alone, which asks its workers to stop
        preexec_fn=follow_parent,
    )


def _ask_to_stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
