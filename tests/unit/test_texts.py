"""Texts on their way into a database: none that it refuses, none without an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.storage.texts import CUT, storable


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("", 10, ""),
        ("Größe λ 😀\n\ttab", 30, "Größe λ 😀\n\ttab"),
        ("before\0after", 30, "before\ufffdafter"),
        ("caf\udce9.png", 30, "caf\ufffd.png"),  # bytes that are no text, as os.fsdecode gives them
        ("\ud83d\ude00", 30, "\ufffd\ufffd"),
        ("0123456789", 10, "0123456789"),
        ("0123456789a", 10, f"012{CUT}789a"),
    ],
)
def test_what_is_stored(text: str, most: int, expected: str) -> None:
    """NUL and lone surrogates are replaced; of what is too long the beginning and the end stay."""
    assert expected == storable(text, most)


@given(st.text(st.characters(exclude_categories=())), st.integers(4, 40))
def test_always_fit(text: str, most: int) -> None:
    """Whatever it is, it can be encoded and is short enough; what fits already is left alone."""
    stored = storable(text, most)
    assert len(stored) <= most
    assert "\0" not in stored
    stored.encode()
    assert stored == storable(stored, most)


def test_a_long_traceback() -> None:
    """It begins as it began, and ends with the error."""
    text = "Traceback (most recent call last):\n" + "  File …\n" * 10_000 + "ValueError: the reason"
    stored = storable(text)
    assert stored.startswith("Traceback (most recent")
    assert stored.endswith("\nValueError: the reason")
    assert CUT in stored
