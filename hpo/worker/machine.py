"""The machine that a worker runs on: its device, its threads, and what is recorded of it."""

from __future__ import annotations

import ctypes
import os
import platform
from importlib.metadata import version

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
    return {
        "hpo": hpo.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "optuna": version("optuna"),
        "device": describe_device(device),
        "cuda": str(torch.version.cuda) if device.type == "cuda" else "",
        "threads": str(torch.get_num_threads()),
        "cpus": str(os.cpu_count()),
    }
