"""The device that a worker trains on: chosen, prepared, tried; and whether an error was its fault or the trial's."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import platform

import torch
from torch import nn

from hpo import gpus
from hpo.errors import MachineError, SickMachine, UserError

log = logging.getLogger(__name__)

GIBIBYTE = 1 << 30
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
ROOM = 0.9
"""Share of a device's memory that must be free, or held by this process, for it to be ours alone."""
MARKS = ("CUDA error", "CUDA driver error", "CUDA out of memory", "CUBLAS_STATUS_", "CUDNN_STATUS_", "cuDNN error")
"""In the text of an error that a device reports through one of its libraries."""
ASSERTED = "device-side assert"


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the first GPU, or the CPU where there is none.

    Raises:
        UserError: there is no such device here, or torch can't use the GPU that is here.
    """
    try:
        device = torch.device(_first() if name == "auto" else name)
    except RuntimeError:
        device = torch.device("meta")  # not for training, as others that torch knows
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device {name!r}: allowed are auto, cpu, cuda, cuda:0, cuda:1, …")
    if device.type == "cuda":
        _check_gpu(name, device.index or 0)
    return device


def _first() -> str:
    # Where the driver lists a GPU that torch can't use, training on the CPU without a word would be no help.
    return "cuda" if torch.cuda.is_available() or gpus.visible().names else "cpu"


def _check_gpu(name: str, index: int) -> None:
    if not torch.cuda.is_available():
        raise UserError(f"--device {name!r}: torch can't use a GPU here: {_why_no_gpu()}", hint=_what_to_install())
    seen, named = torch.cuda.device_count(), len(gpus.named(os.environ.get(gpus.VARIABLE, "")))
    if index >= seen:
        raise UserError(f"--device {name!r}: there is no such device here; torch sees {seen}, from cuda:0 on")
    if seen < named:
        log.warning("%s names %d devices, of which torch sees %d", gpus.VARIABLE, named, seen)


def _why_no_gpu() -> str:
    """The reason that torch gives."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except Exception as error:
        return str(error).partition("\n")[0]
    return "it sees none"


def _what_to_install() -> str:
    here = gpus.visible()
    if not here.names:
        return f"{here.why_none}; --device cpu trains on the CPU"
    if torch.version.cuda is None:
        needed = "a torch that is built for CUDA"
    else:
        needed = f"a driver for CUDA {torch.version.cuda} or newer, or a torch built for the CUDA that the driver has"
    return f"to use {', '.join(here.names)} install {needed}; --device cpu trains on the CPU"


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


def compute(device: torch.device) -> None:
    """Train a tiny net for one step.

    Raises:
        MachineError: what training imports can't be imported.
        SickMachine: the device fails, or gives another result than it should.
    """
    try:
        weight = nn.Parameter(torch.ones(64, 64, device=device))
        optimizer = torch.optim.SGD([weight], lr=0.5)  # the first optimizer of a process imports much
        loss = (torch.ones(64, 64, device=device) @ weight).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found = (loss.item(), weight.sum().item())
    except (ImportError, OSError) as error:
        raise MachineError(f"what training needs can't be imported here: {_line(error)}") from error
    except RuntimeError as error:
        raise SickMachine(f"the device {device} does not compute: {_line(error)}") from error
    expected = (64.0**3, 64.0**2 * (1 - 0.5 * 64))
    if found != expected:
        raise SickMachine(f"the device {device} computes wrongly: {found} in place of {expected}")


def device_failed(error: BaseException) -> bool:
    """Whether an error is the device's, its lack of memory included, and not the trial's.

    A failed assertion in a kernel is the trial's, as of a label out of range; the process can't compute after it, which
    `compute` tells.
    """
    if ASSERTED in str(error):
        return False
    if isinstance(error, (torch.OutOfMemoryError, getattr(torch, "AcceleratorError", torch.OutOfMemoryError))):
        return True
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in MARKS)


def device_has_room(device: torch.device) -> bool:
    """Whether nobody else holds much of the device's memory: then a trial that does not fit is too large for it."""
    if device.type != "cuda":
        return True
    gc.collect()
    try:
        torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info(device)
        ours = torch.cuda.memory_reserved(device)
    except RuntimeError:  # it does not answer any more
        return False
    return free + ours >= ROOM * total


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
