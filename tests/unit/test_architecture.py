"""The map of the code is that of the import contracts, and names what is there."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import hpo

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"


def layers() -> list[list[str]]:
    """The layers of the contract, from the top down, without the package's name."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [whole] = [contract for contract in contracts if contract["name"] == "imports run downwards only"]
    return [[name.strip().removeprefix("hpo.") for name in layer.split("|")] for layer in whole["layers"]]


def test_the_layers_are_those_of_the_contract() -> None:
    """In their order, with all that stands in each."""
    table = PAGE.read_text().partition("## Layers")[2].partition("## Words")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert layers() == [re.findall(r"`(\w+)`", row) for row in rows]


def test_every_module_has_its_layer() -> None:
    """What the contract does not name could import anything."""
    package = Path(hpo.__file__).parent
    there = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__", "__main__"} == {name for layer in layers() for name in layer}


def test_the_functions_that_are_named_exist() -> None:
    """Each `module.name` of the page is a module, or something in one."""
    for dotted in re.findall(r"`((?:\w+\.)+\w+)`", PAGE.read_text()):
        module, _, name = f"hpo.{dotted}".rpartition(".")
        try:
            importlib.import_module(f"hpo.{dotted}")
        except ImportError:
            found = importlib.import_module(module)
            own = [getattr(found, kind) for kind in dir(found) if isinstance(getattr(found, kind), type)]
            assert hasattr(found, name) or any(hasattr(kind, name) for kind in own), dotted
