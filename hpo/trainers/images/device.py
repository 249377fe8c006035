"""The device that torch trains on: chosen, prepared, tried; and whether an error was its fault or the trial's."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from hpo.errors import MachineError, SickMachine, UserError
from hpo.process import gpus
from hpo.process.outside import ask
from hpo.trainers.images.data.folders import check_folders

log = logging.getLogger(__name__)

GIBIBYTE = 1 << 30
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
MARKS = ("CUDA error", "CUDA driver error", "CUDA out of memory", "CUBLAS_STATUS_", "CUDNN_STATUS_", "cuDNN error")
"""Marks in the text of an error that a device reports through one of its libraries."""
ASSERTED = "device-side assert"
SLOW_BFLOAT16 = "HPO_SLOW_BFLOAT16"
"""1: trials in bfloat16 are trained on a processor without instructions for it, too."""
DETERMINISTIC = "HPO_DETERMINISTIC"
"""1: torch computes with operations alone that give the same numbers each time, and raises where it has none."""
HOW_ALL_THE_SAME = f"{SLOW_BFLOAT16}=1 in the environment of the worker lets it train them anyway"


class TorchMachine:
    """A device on which this process trains from now on."""

    def __init__(self, name: str) -> None:
        self._device = choose_device(name)
        configure_torch(self._device)
        self.device = str(self._device)
        self.description = describe_device(self._device)

    def environment(self) -> Mapping[str, str]:
        return environment(self._device)

    def examine(self) -> None:
        check_folders()
        compute(self._device)

    def recover(self) -> None:
        if self._device.type == "cuda":  # an assertion in a kernel ends the device for this process
            compute(self._device)

    def is_to_blame(self, error: BaseException) -> bool:
        return device_failed(error) and not self.is_too_small(error)

    def is_too_small(self, error: BaseException) -> bool:
        return device_failed(error) and gpus.out_of_memory(str(error)) and device_has_room(self._device)


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
        raise UserError(f"--device {name!r}: there is no such device here; torch sees {seen}, counted from cuda:0")
    if seen < named:
        log.warning("%s names %d devices, but torch sees %d", gpus.VARIABLE, named, seen)


def _why_no_gpu() -> str:
    """The reason that torch gives."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except Exception as error:
        return str(error).partition("\n")[0]
    return "torch sees no GPU"


def _what_to_install() -> str:
    here = gpus.visible()
    if not here.names:
        return f"{here.why_none}; --device cpu trains on the CPU"
    if torch.version.cuda is None:
        needed = "a torch that was built for CUDA"
    else:
        needed = f"a driver for CUDA {torch.version.cuda} or newer, or a torch that was built for the driver's CUDA"
    return f"to use {', '.join(here.names)}, install {needed}; --device cpu trains on the CPU"


def configure_torch(device: torch.device) -> None:
    """Prepare this process for training on `device`.

    One thread on a CPU: several workers with one thread each are faster than one with several, and the number of
    threads is part of what fixes a trial's result.
    """
    torch.set_num_threads(1)
    if is_deterministic():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # is read when the GPU is used for the first time
        torch.use_deterministic_algorithms(True)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")  # TF32
    elif platform.libc_ver()[0] == "glibc":
        # Otherwise large activations go back to the kernel at every step: up to 1.3 times the time of a step.
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, GIBIBYTE)
        libc.mallopt(M_TRIM_THRESHOLD, GIBIBYTE)


def is_deterministic() -> bool:
    """Whether the operator of this worker wants the same numbers each time on a GPU too."""
    return os.environ.get(DETERMINISTIC) == "1"


def describe_device(device: torch.device) -> str:
    """The device as people know it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"


def environment(device: torch.device) -> dict[str, str]:
    """What a trial's result may depend on: the device, its libraries, threads."""
    gpu = device.type == "cuda"
    return {
        "torch": torch.__version__,
        "device": describe_device(device),
        "processor": processor(),
        "instructions": "" if gpu else torch.backends.cpu.get_cpu_capability(),
        "cuda": str(torch.version.cuda) if gpu else "",
        "driver": driver() if gpu else "",
        "threads": str(torch.get_num_threads()),
        **({"deterministic": "yes" if is_deterministic() else "no"} if gpu else {}),
        **(gpus.environment(_name(device)) if gpu else {}),
    }


def _name(device: torch.device) -> str:
    """The GPU's UUID, as CUDA_VISIBLE_DEVICES gives it or torch knows it."""
    index, given = device.index or 0, gpus.named(os.environ.get(gpus.VARIABLE, ""))
    if index < len(given) and not given[index].isdigit():
        return given[index]
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return f"GPU-{uuid}" if uuid else str(index)


def lacks(precision: str, device: torch.device) -> str | None:
    """What this machine lacks for trials of this precision, in words; None if nothing, or if its operator wants them.

    torch computes with bfloat16 on any processor. Without instructions of that type a step takes twice the time that
    it does with 32 bits if there are AVX512 registers to make do with, and seven times or more if there are none.
    """
    if precision != "bfloat16" or device.type != "cpu" or _computes_bfloat16() or os.environ.get(SLOW_BFLOAT16) == "1":
        return None
    return (
        f"{processor() or 'this processor'} has no bf16 instructions (avx512_bf16, amx_bf16), so bfloat16 would be 2 "
        "to 13 times slower than float32; use a GPU or a newer processor"
    )


def _computes_bfloat16() -> bool:
    try:
        has_registers = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        # Of an x86 processor torch says yes for wide registers alone.
        return has_registers and (platform.machine() != "x86_64" or torch.cpu._is_avx512_bf16_supported())
    except (AttributeError, RuntimeError):  # a torch without oneDNN, or one that answers otherwise
        return True


def driver() -> str:
    """The version of the GPU's driver; empty if it does not say."""
    return ask("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").first_line


def processor() -> str:
    """The processor as people know it; empty if the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


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
        raise SickMachine(f"the device {device} can't compute: {_line(error)}") from error
    expected = (64.0**3, 64.0**2 * (1 - 0.5 * 64))
    if found != expected:
        raise SickMachine(f"the device {device} gives wrong results: {found} instead of {expected}")


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
    return free + ours >= gpus.ROOM * total


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
