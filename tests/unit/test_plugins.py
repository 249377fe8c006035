"""A plug-in is one class and one name: nothing outside its own home names its class or asks for its kind."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel

import hpo
from hpo.search import Pruner, Sampler
from hpo.trainers.images.data import Data
from hpo.trainers.images.models import Initialization, Model
from hpo.trainers.images.optimizers import Optimizer
from hpo.trainers.images.regularizers import RegularizerSpec
from hpo.trainers.moving.policies import Policy
from hpo.trainers.moving.schedules import Schedule

PACKAGE = Path(hpo.__file__).parent
UNIONS = (Sampler, Pruner, Data, Initialization, Model, Optimizer, Policy, RegularizerSpec, Schedule)


def members(union: Any) -> tuple[type[BaseModel], ...]:
    """The classes of a union, told apart by their kind."""
    if get_origin(union) is Annotated:
        return members(get_args(union)[0])
    return get_args(union)


def home_of(plug_in: type[BaseModel]) -> Path:
    """The file that a plug-in is in, or its folder where that is a package of such plug-ins."""
    file = PACKAGE.parent / Path(*plug_in.__module__.split(".")).with_suffix(".py")
    package = file.with_suffix("") if file.with_suffix("").is_dir() else file.parent
    return package if package.name in ("data", "models", "regularizers") else file


HOMES: Mapping[str, Path] = {each.__name__: home_of(each) for union in UNIONS for each in members(union)}
KINDS: Mapping[str, Path] = {
    each.model_fields["kind"].default: home_of(each) for union in UNIONS for each in members(union)
}


def switches(source: str) -> Iterator[tuple[int, str]]:
    """Line and name wherever the source asks what class a value has, or what kind."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            yield from ((node.lineno, name) for name in _names(node.args[1]))
        elif isinstance(node, ast.MatchClass):
            yield from ((node.cls.lineno, name) for name in _names(node.cls))
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Call) and ast.unparse(side.func) == "type" for side in sides):
                yield from ((node.lineno, name) for side in sides for name in _names(side))
            if any(ast.unparse(side).endswith(("kind", "['kind']", "get('kind')")) for side in sides):
                texts = [each.value for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)]
                yield from ((node.lineno, text) for text in texts if isinstance(text, str))


def _names(node: ast.AST) -> Iterator[str]:
    """The classes that are named there; those of torch have names of their own."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Attribute) and ast.unparse(each.value) not in ("nn", "torch"):
            yield each.attr


def test_nobody_asks_for_a_plug_in_by_name() -> None:
    """What the rest of the program needs to know of a plug-in is an attribute or a method of its class."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for line, name in switches(file.read_text()):
            home = HOMES.get(name) or KINDS.get(name)
            if home is not None and file != home and home not in file.parents:
                found.append(f"{file.relative_to(PACKAGE.parent)}:{line}: {name}")
    assert [] == found


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("isinstance(x, Grid)", "Grid"),
        ("isinstance(x, search.AccuracyGap | LossGap)", "LossGap"),
        ("isinstance(x, (Hold, CmaEs))", "CmaEs"),
        ("type(x) is NoPruner", "NoPruner"),
        ("match x:\n    case BatchSize():\n        pass", "BatchSize"),
        ("x.kind == 'grid'", "grid"),
        ("arm['sampler']['kind'] != 'none'", "none"),
        ("x.kind in ('adam', 'adamw')", "adamw"),
    ],
)
def test_every_way_to_ask_is_seen(source: str, name: str) -> None:
    """Or the test above would find nothing because it looks for nothing."""
    assert name in {found for _, found in switches(source)}
    assert name in HOMES or name in KINDS
