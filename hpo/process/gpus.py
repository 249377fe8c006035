"""The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES gives them; known without loading torch.

A GPU is named by its UUID, since CUDA and the driver number the GPUs of a machine in different orders. One that is
divided (MIG, multi-instance GPU) can't be used as a whole: each of its instances is a device of its own.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from hpo.process.outside import ask

VARIABLE = "CUDA_VISIBLE_DEVICES"
NAME = re.compile(r"\d+|(GPU|MIG)-\S+")
"""A device as CUDA reads it."""
CARD = re.compile(r"GPU (?P<number>\d+): *(?P<model>[^(]*[^( ])?( *\(UUID: (?P<uuid>GPU-[^)\s]+)\))?")
INSTANCE = re.compile(r"\s+MIG .*\(UUID: (?P<uuid>MIG-[^)\s]+)\)")
"""Lines of `nvidia-smi --list-gpus`: a GPU, then its instances."""
OF_THE_KERNEL = Path("/proc/driver/nvidia/gpus")
"""A folder for each GPU that the driver's kernel module has, with the file `information`."""
DEVICE_FILES = Path("/dev")

OUT_OF_MEMORY = ("out of memory", "out_of_memory", "oom when allocating")
"""What torch, JAX, CUDA itself and TensorFlow say, in lower case."""
ROOM = 0.9
"""Share of a device's memory that must be free, or held by whoever asks, for the device to be theirs alone."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU of this machine."""

    name: str
    instances: tuple[str, ...] = ()
    """Names of the parts that it is divided into."""
    model: str = ""
    """What it is sold as; empty if that isn't known."""

    def devices(self) -> tuple[str, ...]:
        """What of it a process can use."""
        return self.instances or (self.name,)


@dataclass(frozen=True, slots=True)
class Gpus:
    """Names of devices, or the reason why there is none."""

    names: tuple[str, ...]
    why_none: str = ""


def visible() -> Gpus:
    """What CUDA_VISIBLE_DEVICES names, as a person or a scheduler sets it; else all that the driver lists."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        names = named(given)
        return Gpus(names, "" if names else f"{VARIABLE} names no GPU")
    cards, failure = listed()
    names = tuple(device for card in cards for device in card.devices())
    return Gpus(names, failure if not names else "")


def named(text: str) -> tuple[str, ...]:
    """The devices in a value of CUDA_VISIBLE_DEVICES; CUDA ignores whatever follows the first word that is none."""
    names = []
    for word in text.split(","):
        name = word.strip()
        if not NAME.fullmatch(name):
            break
        names.append(name)
    return tuple(names)


def listed() -> tuple[list[Card], str]:
    """The GPUs that the driver lists; or why there are none, in words.

    Where nvidia-smi is missing, or fails as it does from an update of the driver until the next boot, they are those of
    the kernel's module.
    """
    answer = ask("nvidia-smi", "--list-gpus")
    if answer.failure:
        found = _of_the_kernel()
        return found, "" if found else answer.failure
    cards: list[Card] = []
    for line in answer.text.splitlines():
        if card := CARD.match(line):
            cards.append(Card(card["uuid"] or card["number"], model=card["model"] or ""))
        elif cards and (instance := INSTANCE.match(line)):
            last = cards.pop()
            cards.append(replace(last, instances=(*last.instances, instance["uuid"])))
    return cards, "" if cards else "nvidia-smi lists no GPU"


def _of_the_kernel() -> list[Card]:
    cards = []
    for file in sorted(OF_THE_KERNEL.glob("*/information")):
        try:
            lines = file.read_text().splitlines()
        except OSError:  # as of a GPU that is being removed
            continue
        about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        number, uuid = about.get("Device Minor", ""), about.get("GPU UUID", "")
        # A container sees the GPUs of its host there, though it may have been given none of them.
        if (DEVICE_FILES / f"nvidia{number}").exists():
            name = number if "?" in uuid else uuid  # question marks until it is used first
            cards.append(Card(name, model=about.get("Model", "")))
    return cards


def out_of_memory(said: str) -> bool:
    """Whether an error, or what a program has said, is that a GPU has no memory left."""
    return any(mark in said.lower() for mark in OUT_OF_MEMORY)


def has_room(device: str) -> bool:
    """Whether nobody holds much of the memory of a GPU, by its name or number; False if the driver does not say."""
    asked = "--query-gpu=memory.used,memory.total"
    found = re.match(r"(\d+), (\d+)", ask("nvidia-smi", asked, "--format=csv,noheader,nounits", f"--id={device}").text)
    return found is not None and int(found[1]) <= (1 - ROOM) * int(found[2])


def model(device: str) -> str:
    """What the GPU is sold as that a device is, or is a part of; empty if the driver does not list it."""
    cards, _ = listed()
    return next((card.model for card in cards if device in (card.name, *card.instances)), "")


def environment(device: str) -> dict[str, str]:
    """What is recorded of a device: which of this machine's GPUs it is, and what CUDA_VISIBLE_DEVICES calls it."""
    return {"gpu": place(device), "gpu_id": device}


def place(device: str) -> str:
    """Which of this machine's GPUs a device is, `2 of 8`, or is a part of; its name if the driver does not list it."""
    cards, _ = listed()
    for number, card in enumerate(cards):
        if device == card.name:
            return f"{number} of {len(cards)}"
        if device in card.instances:
            return f"{number} of {len(cards)}, {device}"
    return device
