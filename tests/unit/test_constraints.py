"""constraints.txt names what is installed: all that `pip install '.[dev]'` brings, as tests ran with it."""

from __future__ import annotations

import platform
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
OURS = canonicalize_name(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"])
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().split()]
Wanted = tuple[str, str]
"""A distribution, and one of its extras; the empty text for none."""


def needs(wanted: Wanted) -> Iterator[Wanted]:
    """What a distribution asks for on this machine, with that extra or without."""
    name, extra = wanted
    for text in metadata.requires(name) or []:
        asked = Requirement(text)
        if asked.marker is None or asked.marker.evaluate({"extra": extra}):
            yield from ((asked.name, extra) for extra in ("", *asked.extras))


def installed() -> dict[str, str]:
    """Everything that is needed for development, by name: its version."""
    found: dict[str, str] = {}
    seen: set[Wanted] = set()
    asked: list[Wanted] = [(OURS, ""), (OURS, "dev")]
    while asked:
        wanted = asked.pop()
        name, extra = canonicalize_name(wanted[0]), wanted[1]
        if (name, extra) not in seen:
            seen.add((name, extra))
            found[name] = Version(metadata.version(name)).public  # torch 2.15.0+cpu is torch 2.15.0 too
            asked += needs((name, extra))
    del found[OURS]
    return found


def test_every_pin_is_one_version() -> None:
    """Names and versions, in the order of the names; nothing on where they come from."""
    names = [canonicalize_name(pin.name) for pin in PINS]
    assert sorted(set(names)) == names
    assert all(str(pin.specifier).startswith("==") and pin.url is None for pin in PINS)


@pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="pins are for Linux on x86_64")
def test_all_that_is_installed_is_pinned() -> None:
    """Also what torch brings along, such as CUDA. To accept a change: pip freeze --all, and read the diff."""
    pinned = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in PINS}
    found = installed()
    assert found == {name: pinned.get(name, "not pinned") for name in found}
