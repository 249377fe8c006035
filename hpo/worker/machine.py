"""The machine that a worker runs on: its device, its threads, and what is recorded of it."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

import hpo
from hpo.errors import UserError

GIBIBYTE = 1 << 30
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the first GPU, or the CPU where there is none.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name!r}: allowed are auto, cpu, cuda, cuda:0, cuda:1, …") from None
    if device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < torch.cuda.device_count()):
        return device
    raise UserError(f"--device {name!r}: there is no such device here; {torch.cuda.device_count()} GPUs are visible")


def settle(device: torch.device) -> None:
    """Prepare this process for training on `device`.

    One thread on a CPU: several workers with one thread each are faster than one with several, and the number of
    threads is part of what fixes a trial's result.
    """
    torch.set_num_threads(1)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")  # TF32
    elif platform.libc_ver()[0] == "glibc":
        # Otherwise large activations go back to the kernel at every step: up to 1.3 times the time of a step.
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, GIBIBYTE)
        libc.mallopt(M_TRIM_THRESHOLD, GIBIBYTE)


def describe_device(device: torch.device) -> str:
    """The device as people know it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"


def environment(device: torch.device) -> dict[str, str]:
    """What a result may depend on besides its study: versions, threads, device."""
    gpu = device.type == "cuda"
    return {
        "hpo": hpo.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "optuna": version("optuna"),
        "device": describe_device(device),
        "processor": processor(),
        "cuda": str(torch.version.cuda) if gpu else "",
        "driver": driver() if gpu else "",
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", str(device.index or 0)) if gpu else "",
        "threads": str(torch.get_num_threads()),
        "cpus": str(os.cpu_count()),
    }


def commit() -> str:
    """The commit that this installation is of, `-dirty` if it was changed since; empty if that can't be known.

    An image without its git history says it in HPO_COMMIT.
    """
    folder = Path(hpo.__file__).parents[1]
    if "HPO_COMMIT" in os.environ or not (folder / ".git").exists():  # else the git of whatever folder it lies in
        return os.environ.get("HPO_COMMIT", "")[:40]
    return _first_line("git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def driver() -> str:
    """The version of the GPU's driver; empty if it does not say."""
    return _first_line("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")


def processor() -> str:
    """The processor as people know it; empty if the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""


def examine(device: torch.device) -> None: ...
def lacks(precision: str, device: torch.device) -> str | None:
    return None


def device_failed(error: Exception) -> bool:
    return False


def device_has_room(device: torch.device) -> bool:
    return True
