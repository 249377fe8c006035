"""One look for every arm: a colour, a mark and a dash, the same in every figure and table.

The colours can be told apart with the common kinds of colour blindness (after Okabe and Ito 2008, darkened for white
and lightened for black paper to a contrast of at least 3). From the seventh arm on they begin again, with other marks
and dashes: no two of 100 arms, as many as a study may have, look alike on a line with marks, nor two of `TOLD_APART`
where there are only marks. Of more than these, each line or point is labelled with its name.
"""

from __future__ import annotations

from typing import NamedTuple

LIGHT = ("#0072b2", "#d55e00", "#008566", "#b0528f", "#8f6b00", "#5c6370")
DARK = ("#56b4e9", "#f58b4c", "#2fc79b", "#e08fc0", "#e5b94a", "#a9b1bd")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Marks as matplotlib names them."""
GLYPHS = ("●", "■", "▲", "◆", "▼", "✚", "✖")
"""Marks as text, the same ones."""
PLOTLY_MARKERS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.6), (1, 1.4), (6, 1.4, 1, 1.4), (9, 2.5))
"""Ink and gap in turn, in widths of the line; nothing: solid."""
TOLD_APART = len(LIGHT) * len(MARKERS)


class Look(NamedTuple):
    """Places among the colours, the marks and the dashes."""

    colour: int
    marker: int
    dash: int


def look(arm: int) -> Look:
    """The look of an arm by its place in the study."""
    again, colour = divmod(arm, len(LIGHT))
    return Look(colour, (colour + again) % len(MARKERS), again % len(DASHES))
