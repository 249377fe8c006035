"""The tests themselves: an assertion that compares a constant with itself asserts nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def compared_with_themselves(source: str) -> Iterator[int]:
    """The lines at which a comparison has the same constant on both sides, alone or at the same place of a tuple."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.Is):
            left, right = _parts(node.left), _parts(node.comparators[0])
            if len(left) == len(right) and any(map(_are_the_same, left, right)):
                yield node.lineno


def _parts(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple | ast.List) and node.elts else [node]


def _are_the_same(left: ast.expr, right: ast.expr) -> bool:
    constants = isinstance(left, ast.Constant) and isinstance(right, ast.Constant)
    return constants and ast.dump(left) == ast.dump(right)


def test_no_assertion_compares_a_constant_with_itself() -> None:
    """Whatever the program does, such a part is equal."""
    files = sorted(file for file in TESTS.rglob("test_*.py") if file != Path(__file__))
    assert files
    assert [] == [f"{file}:{line}" for file in files for line in compared_with_themselves(file.read_text())]


def test_such_a_comparison_is_seen() -> None:
    """Or the test above would find nothing whatever there is."""
    assert [1, 2] == list(compared_with_themselves("assert (x, 5) == (y, 5)\nassert 1 == 1\nassert (1, x) == (x, 1)"))
