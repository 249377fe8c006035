"""A curve in a line of text: a character for each point, as high as its value; in ASCII where need be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.segment import Segment

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.:-=+*#"
"""Eight heights, where the encoding knows no blocks."""
WIDTH = 16
"""Points at most: of more, each shows the mean of several."""


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A curve of the heights 0 to 7, to be printed."""

    heights: tuple[int, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        yield Segment(self.text(ascii_only=options.ascii_only))
        yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(len(self.heights), len(self.heights))

    def text(self, *, ascii_only: bool = False) -> str:
        """The characters."""
        return "".join((ASCII if ascii_only else BLOCKS)[height] for height in self.heights)


def sparklines(curves: Sequence[Sequence[float]], width: int = WIDTH) -> list[Sparkline]:
    """Curves with one scale for all of them, from the lowest value to the highest."""
    thinned = [_thinned(curve, width) for curve in curves]
    values = [value for curve in thinned for value in curve]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return [Sparkline(tuple(_height(value, low, high) for value in curve)) for curve in thinned]


def _height(value: float, low: float, high: float) -> int:
    top = len(BLOCKS) - 1
    # Halves, since the difference of two large numbers may be more than there is.
    share = (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 1.0
    return round(top * share) if math.isfinite(share) else top


def _thinned(curve: Sequence[float], width: int) -> list[float]:
    """Thin a curve to `width` points at most, each the mean of as many as any other, but for one."""
    n = min(len(curve), width)
    ends = [len(curve) * place // n for place in range(n + 1)] if n else []
    return [fmean(curve[begin:end]) for begin, end in pairwise(ends)]
