"""Docstrings stand alone: each begins with what it is about, and not with a preposition or "The same"."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpo

PACKAGE = Path(hpo.__file__).parent
LEANING = {
    *(
        "With",
        "Without",
        "Of",
        "For",
        "In",
        "On",
        "At",
        "By",
        "From",
        "To",
        "As",
        "After",
        "Before",
        "Between",
        "Beside",
    ),
    *("Behind", "Until", "Under", "Over", "Within", "Against", "Like", "Since", "Than", "Through", "Beyond", "Besides"),
    *("Inside", "Outside", "Among"),
}


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """The line and the text of each, of fields and constants too."""
    for node in ast.walk(ast.parse(source)):
        for statement in getattr(node, "body", None) if isinstance(getattr(node, "body", None), list) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.lineno, text


def leaning(source: str) -> list[str]:
    """Those that can't be understood without something that stands elsewhere."""
    return [
        f"{line}: {text.strip().splitlines()[0]}"
        for line, text in docstrings(source)
        if text.split()[:1][0] in LEANING or text.split()[:2] == ["The", "same"]
    ]


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_docstring_stands_alone(file: Path) -> None:
    """In the whole package."""
    assert [] == leaning(file.read_text())


def test_one_that_leans_is_found() -> None:
    """Of a module, a function, a field and a constant."""
    source = '''"""Of things."""
LIMIT = 1
"""The same for others."""
class A:
    """A thing."""
    x: int
    """With a tail."""
    def f(self):
        """Does it."""
'''
    assert ["1: Of things.", "3: The same for others.", "7: With a tail."] == sorted(leaning(source))
