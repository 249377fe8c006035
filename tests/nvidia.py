"""A driver's `nvidia-smi` as tests need it: a program on the PATH that lists what it is told to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpo.process import gpus

TWO_CARDS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000001)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000002)
"""
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000001)
  MIG 3g.20gb     Device  0: (UUID: MIG-33333333-aaaa-bbbb-cccc-000000000003)
  MIG 3g.20gb     Device  1: (UUID: MIG-44444444-aaaa-bbbb-cccc-000000000004)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000002)
"""
IN_THE_KERNEL = """\
Model: \t\t NVIDIA A100-SXM4-40GB
IRQ:   \t\t 231
GPU UUID: \t GPU-11111111-aaaa-bbbb-cccc-000000000001
Video BIOS: \t 92.00.19.00.01
Bus Location: \t 0000:07:00.0
Device Minor: \t 0
"""
"""What the kernel's module says of a GPU, as its file has it."""


class NvidiaSmi:
    """The program. It is found before any other of its name, and nothing else tells of GPUs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gpus, "OF_THE_KERNEL", folder / "none")
        self._file = folder / "nvidia-smi"
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def lists(self, text: str) -> None:
        """Let it list these GPUs."""
        self.does(f"cat <<'END'\n{text}END\n")

    def fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let it fail as after an update of the driver, while the kernel has a GPU that this container was given."""
        self.does("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
        for name, file in {"OF_THE_KERNEL": "0000:07:00.0/information", "DEVICE_FILES": "nvidia0"}.items():
            folder = self._file.parent / name
            monkeypatch.setattr(gpus, name, folder)
            (folder / file).parent.mkdir(parents=True)
            (folder / file).write_text(IN_THE_KERNEL)

    def has_in_use(self, megabytes: int) -> None:
        """Let it list a GPU of 80,000 MB of which so many are in use."""
        usage = f'case "$*" in *memory.used*) echo "{megabytes}, 80000"; exit;; esac'
        self.does(f"{usage}\ncat <<'END'\n{TWO_CARDS.splitlines()[0]}\nEND\n")

    def does(self, script: str) -> None:
        """Let it do what a shell's script says."""
        self._file.write_text(f"#!/bin/sh\n{script}\n")
        self._file.chmod(0o755)
