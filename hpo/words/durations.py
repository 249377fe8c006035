"""Lengths of time as people read them: in the largest unit of which there are two."""

from __future__ import annotations

from hpo.words.nouns import plural

UNITS = (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0), ("second", 1.0))


def unit_of(seconds: float) -> tuple[str, float]:
    """The unit in which a length is told, and its own length in seconds."""
    return next((unit for unit in UNITS if seconds >= 2 * unit[1]), UNITS[-1])


def how_long(seconds: float) -> str:
    """A length of time in words: `3.4 hours`."""
    name, length = unit_of(seconds)
    return f"{seconds / length:,.1f} {plural(name)}"
