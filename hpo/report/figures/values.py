"""What a figure says, apart from how it is drawn: panels with axes, and series of numbers for the arms.

Shares are in percent, as in every table of a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hpo.metric import Metric

Style = Literal[
    "line", "thread", "step", "points", "small points", "large points", "open points", "intervals", "margin"
]
"""`low` and `high` are a band around a line and error bars of points, along y; intervals lie along x, and so does a
margin, the stretch within which a difference would not matter. A thread is the thin line of a single trial."""

MOST_NAMES = 10
"""That fit beside a panel of the usual height."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a panel."""

    label: str = ""
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()
    """(Position, text), where the text is not the position's number."""
    limits: tuple[float, float] | None = None
    """What is shown; None: everything."""
    zero: bool = False
    """A line marks 0: the axis shows differences."""
    whole: bool = False
    """It counts: its ticks are whole numbers."""
    searched: bool = False
    """It is of a path that was searched, where the names of trials say what they have."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One coordinate system of a figure."""

    title: str
    x: Axis
    y: Axis
    height: float = 1.0
    """How high it is drawn by itself, in panels of the usual height."""

    @property
    def stretch(self) -> float:
        """How high it must be at least, so that the names beside it don't overlap."""
        return max(self.height, len(self.y.ticks) / MOST_NAMES)


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one arm in one panel."""

    arm: str
    panel: int
    """Its place among the figure's panels."""
    style: Style
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    """The lower edge of a band, as long as x and y, or empty; so is `high`."""
    high: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    """What each point is, such as the trial that it shows; a single name: what all of them are."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with everything that belongs on it."""

    id: str
    """Letters, digits and `-`: the name of its file, and its anchor on a page."""
    title: str
    caption: str
    """What is shown, of which trials, and what the spread means."""
    arms: tuple[str, ...]
    """All arms of the study: an arm's place here is its colour everywhere."""
    panels: tuple[Panel, ...]
    series: tuple[Series, ...]

    @property
    def shown(self) -> list[str]:
        """The arms that the figure has numbers of."""
        return [arm for arm in self.arms if any(series.arm == arm for series in self.series)]

    @property
    def stretch(self) -> float:
        """How many times as high as usual its panels are where they stand in rows of the same height."""
        return max(panel.stretch for panel in self.panels)


def rows_axis(names: Sequence[str]) -> Axis:
    """A vertical axis with a place for every name, the first one on top."""
    ticks = tuple((-float(place), shortened(name, 24)) for place, name in enumerate(names))
    return Axis(ticks=ticks, limits=(0.5 - len(names), 0.5))


def shortened(text: str, most: int) -> str:
    """`text`, or its end if it is too long: of a dotted path the end says more."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


def toward_best(metric: Metric, values: Sequence[float]) -> tuple[float, float]:
    """Limits that show the better values apart: at most 1.5 times as far beyond the worse quartile as that is from the
    best value; what is worse is outside."""
    if metric.goal == "minimize":
        low, high = _upper([-value for value in values])
        return -high, -low
    return _upper(values)


def _upper(values: Sequence[float]) -> tuple[float, float]:
    values = sorted(values)
    quartile, highest = values[len(values) // 4], values[-1]
    lowest = max(values[0], quartile - 1.5 * (highest - quartile))
    margin = 0.05 * (highest - lowest) or 1.0
    return lowest - margin, highest + margin


def beside(place: int, of: int) -> float:
    """How far the arm at `place` of so many is moved aside, so that arms don't cover each other; 1 is all there is."""
    return 0.6 * ((place + 0.5) / of - 0.5)
