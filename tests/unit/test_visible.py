"""Characters that act instead of showing: each becomes one that shows, and nothing else changes."""

from __future__ import annotations

import sys
from unicodedata import category

import pytest

from hpo.words.visible import ACTING, on_one_line, visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ± – λ 图 👍🏽", "plain ± – λ 图 👍🏽"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b]52;c;ZXZpbA==\x07", "␛]52;c;ZXZpbA==␇"),
        ("\x1b[2J\r\x00\x7f", "␛[2J␍␀␡"),
        ("\x9b31m", "�31m"),  # the C1 control that begins an escape sequence as well
        ("a\u202eb\u2066c\u200fd", "a�b�c�d"),
        ("gr\u200bid \ufeff\xad", "gr�id ��"),
        ("\ud800 \u2028 \u2029", "� � �"),
        ("\U000e0041", "�"),  # a tag: text within text that nobody sees
    ],
)
def test_what_acts_becomes_visible(text: str, expected: str) -> None:
    """One character for one, so that a text keeps its length."""
    assert expected == visible(text)
    assert len(expected) == len(text)


def test_no_character_of_unicode_acts_afterwards() -> None:
    """All of them, at once."""
    everything = visible("".join(map(chr, range(sys.maxunicode + 1))))
    assert {"\n", "\t"} == {char for char in everything if category(char) in ACTING}


def test_on_one_line() -> None:
    """For a cell of a table, a heading, a line of a log."""
    assert "a b c␛" == on_one_line("a\nb\tc\x1b")
