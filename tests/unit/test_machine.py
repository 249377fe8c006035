"""What a worker finds out about its machine: the device, what it lacks, and whose fault an error was."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hpo.errors import MachineError, SickMachine, UserError
from hpo.trainers.images.device import (
    TorchMachine,
    choose_device,
    compute,
    configure_torch,
    device_failed,
    device_has_room,
    environment,
    lacks,
)
from hpo.worker.machine import in_words, write_temporary_file
from tests.nvidia import DIVIDED, TWO_CARDS, NvidiaSmi

CPU = torch.device("cpu")
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="on a machine with a GPU all is well")


@pytest.mark.parametrize("name", ["tpu", "xpu", "meta", "cuda:x", ""])
def test_no_device_for_training(name: str) -> None:
    """Refused, with what is allowed."""
    with pytest.raises(UserError, match=r"allowed are auto, cpu, cuda, cuda:0"):
        choose_device(name)


@without_gpu
def test_the_cpu_where_there_is_no_gpu(nvidia_smi: NvidiaSmi) -> None:
    """A driver that lists none, or does not work, as on a node without a GPU whose image has a driver."""
    nvidia_smi.does("echo 'No devices were found'; exit 6")
    assert CPU == choose_device("auto")


@without_gpu
@pytest.mark.parametrize("listing", [TWO_CARDS, DIVIDED])
@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_a_gpu_that_torch_cannot_use(name: str, listing: str, nvidia_smi: NvidiaSmi) -> None:
    """Never the CPU in its place without a word: torch's reason, and what to install. The CPU stays possible."""
    nvidia_smi.lists(listing)
    with pytest.raises(UserError) as caught:
        choose_device(name)
    assert 2 == caught.value.exit_code
    assert f"--device {name!r}: torch can't use a GPU here: Found no NVIDIA driver" in str(caught.value)
    assert "GPU-22222222-aaaa-bbbb-cccc-000000000002, install a " in caught.value.hint
    assert "--device cpu" in caught.value.hint
    assert CPU == choose_device("cpu")


@without_gpu
def test_a_driver_that_fails(nvidia_smi: NvidiaSmi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU is there all the same, and not the CPU in its place."""
    nvidia_smi.fails(monkeypatch)
    with pytest.raises(UserError, match="torch can't use a GPU here"):
        choose_device("auto")


@without_gpu
def test_a_gpu_that_was_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_VISIBLE_DEVICES names it; a word that names none leaves the CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(UserError) as caught:
        choose_device("auto")
    assert "to use 1, install" in caught.value.hint
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "cpu1")
    assert CPU == choose_device("auto")


def test_bfloat16_needs_instructions() -> None:
    """Those of the type itself: wide registers alone make do with twice the time."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    has = bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
    assert has == (lacks("bfloat16", CPU) is None)
    assert None is lacks("float32", CPU)
    assert None is lacks("bfloat16", torch.device("cuda"))


def test_wide_registers_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of an older server; its operator may want it all the same."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert "has no bf16 instructions (avx512_bf16, amx_bf16)" in str(lacks("bfloat16", CPU))
    monkeypatch.setenv("HPO_SLOW_BFLOAT16", "1")
    assert None is lacks("bfloat16", CPU)


def test_what_is_recorded() -> None:
    """The instructions fix a result on a CPU beside the processor's name, which may be the same for many."""
    about = environment(CPU)
    assert torch.backends.cpu.get_cpu_capability() == about["instructions"]
    assert ("", "") == (about["driver"], about["cuda"])
    assert all(isinstance(value, str) for value in about.values())


@pytest.mark.parametrize(
    ("device", "about", "expected"),
    [
        ("CPU (x86_64)", {}, "CPU (x86_64)"),
        ("NVIDIA H100", {"gpu": "1 of 2", "gpu_id": "GPU-2"}, "NVIDIA H100, GPU 1 of 2, GPU-2"),
        ("NVIDIA A100", {"gpu": "0 of 2, MIG-4", "gpu_id": "MIG-4"}, "NVIDIA A100, GPU 0 of 2, MIG-4"),
        ("GPU 3", {"gpu": "3", "gpu_id": "3"}, "GPU 3"),
    ],
)
def test_which_device_in_words(device: str, about: dict[str, str], expected: str) -> None:
    """Once, however much is known of it."""
    assert expected == in_words(device, about)


def test_a_healthy_machine() -> None:
    """Nothing to say."""
    write_temporary_file()
    TorchMachine("cpu").examine()
    assert device_has_room(CPU)


@pytest.fixture
def files_of_half_the_size() -> Iterator[None]:
    """As on a disk that is full but for a little."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 << 10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("files_of_half_the_size")
def test_no_room_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is named, and how to take another."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(MachineError) as caught:
        write_temporary_file()
    assert f"a temporary file of 64 KiB can't be written: {tmp_path}: File too large" == str(caught.value)
    assert "TMPDIR" in caught.value.hint


@pytest.mark.parametrize("variable", ["HPO_DATA_DIR", "HPO_CACHE_DIR"])
def test_no_home_folder(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a user that the machine does not know."""
    monkeypatch.setenv(variable, "~nobody-of-this-name/data")
    with pytest.raises(MachineError, match="no home folder for ~nobody-of-this-name/data"):
        TorchMachine("cpu").examine()


def test_a_device_that_does_not_compute() -> None:
    """It is the machine that is sick; torch's device without numbers stands for it."""
    with pytest.raises(SickMachine, match=r"the device meta can't compute: Tensor.item\(\) cannot be called"):
        compute(torch.device("meta"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: unspecified launch failure"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (32x64 and 784x10)"), False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), False),
        (ValueError("CUDA error: in a user's own words"), False),
    ],
)
def test_whose_fault_an_error_was(error: Exception, expected: bool) -> None:
    """The device's, its memory included, or the trial's: an assertion in a kernel is, as of a label out of range."""
    assert expected == device_failed(error)


def test_deterministic_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set before a GPU is used for the first time, and said in what a result may depend on."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is put back in the end
    del os.environ["CUBLAS_WORKSPACE_CONFIG"]
    configure_torch(CPU)
    assert not torch.are_deterministic_algorithms_enabled()
    monkeypatch.setenv("HPO_DETERMINISTIC", "1")
    try:
        configure_torch(CPU)
        assert torch.are_deterministic_algorithms_enabled()
        assert ":4096:8" == os.environ["CUBLAS_WORKSPACE_CONFIG"]
    finally:
        torch.use_deterministic_algorithms(False)
