"""The GPUs of this machine, as its driver or CUDA_VISIBLE_DEVICES tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.process import gpus
from hpo.process.gpus import Card, Gpus, listed, model, named, place, visible
from hpo.process.outside import ask
from tests.integration.helpers import wait_until
from tests.nvidia import DIVIDED, IN_THE_KERNEL, TWO_CARDS, NvidiaSmi

FIRST = "GPU-11111111-aaaa-bbbb-cccc-000000000001"
SECOND = "GPU-22222222-aaaa-bbbb-cccc-000000000002"
H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB"
PARTS = ("MIG-33333333-aaaa-bbbb-cccc-000000000003", "MIG-44444444-aaaa-bbbb-cccc-000000000004")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TWO_CARDS, [Card(FIRST, model=H100), Card(SECOND, model=H100)]),
        (DIVIDED, [Card(FIRST, PARTS, A100), Card(SECOND, model=A100)]),
        (
            "GPU 0: A\n  MIG 1g.5gb Device 0: (UUID: MIG-1)\nGPU 1: A\n",
            [Card("0", ("MIG-1",), "A"), Card("1", model="A")],
        ),
        ("GPU 0:  (UUID: GPU-1)\n", [Card("GPU-1")]),
        ("\nWARNING: something\n" + TWO_CARDS, [Card(FIRST, model=H100), Card(SECOND, model=H100)]),
    ],
    ids=["whole", "divided", "without UUIDs", "without a model", "other lines"],
)
def test_what_the_driver_lists(text: str, expected: list[Card], nvidia_smi: NvidiaSmi) -> None:
    """By UUID; the instances of a divided GPU take its place."""
    nvidia_smi.lists(text)
    assert (expected, "") == listed()
    assert Gpus(tuple(name for card in expected for name in card.devices())) == visible()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'NVIDIA-SMI has failed: no driver'; exit 9", "nvidia-smi failed: NVIDIA-SMI has failed: no driver"),
        ("echo 'Failed to initialize NVML' >&2; exit 255", "nvidia-smi failed: Failed to initialize NVML"),
        ("exit 3", "nvidia-smi failed: exit code 3"),
        ("true", "nvidia-smi lists no GPU"),
    ],
)
def test_why_there_is_none(script: str, reason: str, nvidia_smi: NvidiaSmi) -> None:
    """In the program's words."""
    nvidia_smi.does(script)
    assert Gpus((), reason) == visible()


def test_what_the_kernel_has(nvidia_smi: NvidiaSmi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nvidia-smi fails; but nothing of which a container has no device."""
    nvidia_smi.fails(monkeypatch)
    assert Gpus((FIRST,)) == visible()
    (information,) = gpus.OF_THE_KERNEL.glob("*/information")
    information.write_text(IN_THE_KERNEL.replace(FIRST, "GPU-????????-????-????-????-????????????"))
    assert Gpus(("0",)) == visible()
    (gpus.DEVICE_FILES / "nvidia0").unlink()
    assert Gpus((), "nvidia-smi failed: Failed to initialize NVML: Driver/library version mismatch") == visible()


def test_no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine without a GPU."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "OF_THE_KERNEL", tmp_path / "none")
    assert Gpus((), "nvidia-smi is not installed") == visible()
    (tmp_path / "nvidia-smi").touch()
    assert Gpus((), "nvidia-smi can't be run: Permission denied") == visible()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0,1", ("0", "1")),
        ("GPU-1, MIG-2", ("GPU-1", "MIG-2")),
        ("MIG-GPU-1/2/0", ("MIG-GPU-1/2/0",)),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("cpu1", ()),
        ("0,none,1", ("0",)),
    ],
)
def test_what_cuda_visible_devices_names(text: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """As CUDA reads it; the driver is not asked then."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
    assert expected == named(text) == visible().names
    assert ("" if expected else "CUDA_VISIBLE_DEVICES names no GPU") == visible().why_none


def test_which_of_how_many(nvidia_smi: NvidiaSmi) -> None:
    """Told to people in place of a UUID."""
    nvidia_smi.lists(DIVIDED)
    assert "1 of 2" == place(SECOND)
    assert f"0 of 2, {PARTS[1]}" == place(PARTS[1])
    assert "3" == place("3")
    assert [A100, A100, ""] == [model(device) for device in (SECOND, PARTS[1], "3")]


def test_a_program_that_does_not_answer(tmp_path: Path) -> None:
    """It is given up after its time, and what it has started ends with it."""
    pid = tmp_path / "pid"
    answer = ask("sh", "-c", f"sleep 600 & echo $! > {pid}; echo half an answer; wait", seconds=3.0)
    assert ("", "sh did not answer within 3 seconds") == (answer.text, answer.failure)
    child = int(pid.read_text())

    def is_gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    assert wait_until(is_gone)
