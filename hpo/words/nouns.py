"""Nouns with a number or an article before them."""

from __future__ import annotations


def count(n: int, noun: str) -> str:
    """`1 seed`, `5 seeds`."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural(noun)}"


def plural(noun: str) -> str:
    """`seeds`, `searches`."""
    return f"{noun}es" if noun.endswith(("search", "ss", "x")) else f"{noun}s"


def a(noun: str) -> str:
    """`an epoch`, `a step`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
