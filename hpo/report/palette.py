"""One colour and one mark for every arm, the same in every figure and table.

The colours can be told apart with the common kinds of colour blindness (after Okabe and Ito 2008, darkened for white
and lightened for black paper to a contrast of at least 3); from the seventh arm on they begin again with dashed lines.
"""

from __future__ import annotations

LIGHT = ("#0072b2", "#d55e00", "#008566", "#b0528f", "#8f6b00", "#5c6370")
DARK = ("#56b4e9", "#f58b4c", "#2fc79b", "#e08fc0", "#e5b94a", "#a9b1bd")
MARKERS = ("o", "s", "^", "D", "v", "P")
"""As matplotlib names them."""
GLYPHS = ("●", "■", "▲", "◆", "▼", "✚")
"""The same as text."""
PLOTLY_MARKERS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")


def place(arm: int) -> int:
    """The arm's place among the colours."""
    return arm % len(LIGHT)


def dashed(arm: int) -> bool:
    """Whether its lines are dashed, because its colour is another arm's too."""
    return arm >= len(LIGHT)
