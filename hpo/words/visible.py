"""Text that others wrote, made safe to show.

A title, a claim, a host name, an error or a path may hold characters that a reader doesn't see but that do something:
an escape sequence writes a terminal's clipboard or clears its screen, a bidirectional override lets a line read
backwards, a zero-width space makes two names look like one. Each of them becomes one visible character, so that texts
keep their length. Which characters these are is told by Unicode's general category.
"""

from __future__ import annotations

from unicodedata import category

ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, format characters (bidirectional and zero-width ones among them), lone surrogates, and the separators of
lines and of paragraphs."""
LAYOUT = "\n\t"
"""Controls that do what a reader expects."""
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """`text` with every character that acts instead of showing replaced; newlines and tabs stay."""
    return text.translate(_VISIBLE)


def on_one_line(text: str) -> str:
    """Make a text visible, with a space for each newline and tab."""
    return visible(text).translate({ord(char): " " for char in LAYOUT})


class _Visible(dict[int, str]):
    """Code of a character -> what stands for it; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        self[code] = _replacement(chr(code))
        return self[code]


def _replacement(char: str) -> str:
    if char in LAYOUT or category(char) not in ACTING:
        return char
    if char < " ":
        return chr(0x2400 + ord(char))  # Unicode's picture of the control: ESC becomes ␛
    return "\N{SYMBOL FOR DELETE}" if char == "\x7f" else UNKNOWN


_VISIBLE = _Visible()
