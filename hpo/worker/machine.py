"""The machine that a worker runs on: what is recorded of it, what it lacks, and a look at it before the first claim."""

from __future__ import annotations

import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch

import hpo
from hpo import gpus
from hpo.errors import MachineError
from hpo.outside import ask
from hpo.train.data.folders import check_folders
from hpo.worker.device import compute, describe_device

PROBE_BYTES = 64 << 10


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
        "instructions": "" if gpu else torch.backends.cpu.get_cpu_capability(),
        "cuda": str(torch.version.cuda) if gpu else "",
        "driver": driver() if gpu else "",
        "gpu": gpus.place(_name(device)) if gpu else "",
        "threads": str(torch.get_num_threads()),
        "cpus": str(os.cpu_count()),
    }


def _name(device: torch.device) -> str:
    """The GPU's UUID, as CUDA_VISIBLE_DEVICES gives it or torch knows it."""
    index, given = device.index or 0, gpus.named(os.environ.get(gpus.VARIABLE, ""))
    if index < len(given) and not given[index].isdigit():
        return given[index]
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return f"GPU-{uuid}" if uuid else str(index)


def lacks(precision: str, device: torch.device) -> str | None:
    """What this machine lacks for trials of this precision, in words; None if nothing.

    torch computes with bfloat16 on any processor, though ten times slower than with 32 bits where it has to make do
    without instructions of that type.
    """
    if precision != "bfloat16" or device.type != "cpu" or _computes_bfloat16():
        return None
    return (
        f"{processor() or 'this processor'} has no bf16 instructions (avx512_bf16, amx_bf16); "
        "a GPU or a newer processor trains such trials"
    )


def _computes_bfloat16() -> bool:
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a torch without oneDNN, or one that answers otherwise
        return True


def examine(device: torch.device) -> None:
    """Try, before anything is claimed, what every trial needs: folders, imports, and the device.

    Raises:
        MachineError: a folder or an import is missing; a person can mend it.
        SickMachine: the device does not compute.
    """
    _write_temporary_file()
    check_folders()
    compute(device)


def _write_temporary_file() -> None:
    folder = ""
    try:
        folder = tempfile.gettempdir()  # takes a byte in it for enough
        with tempfile.TemporaryFile() as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as error:
        place = f"{folder}: " if folder else ""
        raise MachineError(
            f"a temporary file of {PROBE_BYTES >> 10} KiB can't be written: {place}{error.strerror}",
            hint="make room there, or name another folder in TMPDIR",
        ) from error


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
    return ask(*command).text.partition("\n")[0].strip()
