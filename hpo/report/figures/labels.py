"""Where the names of the arms stand at the ends of their lines: as near as they can without lying on each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from statistics import fmean

from hpo.report.figures.values import Axis, Figure

MOST_LABELS = 8
"""Arms of which each is named at its line; of more, the legend alone names them."""
GAP = 0.075
"""The least distance between two names, of the height of the panel."""


@dataclass(frozen=True, slots=True)
class Label:
    """The name of an arm at the end of its line, or of its trials' lines."""

    arm: str
    x: float
    y: float


def labels(figure: Figure, panel: int) -> list[Label]:
    """The names beside the lines of a panel whose limits are known, if it has several arms' lines, but not too many."""
    lines = [one for one in figure.series if one.panel == panel and one.style in ("line", "thread", "step") and one.x]
    ends: defaultdict[str, list[float]] = defaultdict(list)
    for line in lines:
        ends[line.arm].append(line.y[-1])
    axis = figure.panels[panel].y
    if axis.limits is None or not 1 < len(ends) <= MOST_LABELS:
        return []
    bottom, top = (_scaled(axis, end) for end in axis.limits)
    height = top - bottom
    wanted = [min(max((_scaled(axis, fmean(own)) - bottom) / height, 0.0), 1.0) for own in ends.values()]
    x = max(line.x[-1] for line in lines)
    found = [bottom + place * height for place in apart(wanted, GAP)]
    return [Label(arm, x, 10**y if axis.log else y) for arm, y in zip(ends, found, strict=True)]


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Places from 0 to 1 that are at least `gap` apart, in the order of those that are wanted and as near to them as
    can be: what would lie on each other stands together around its middle."""

    def places(group: Sequence[int]) -> list[float]:
        width = gap * (len(group) - 1)
        first = fmean(wanted[one] for one in group) - width / 2
        return [max(0.0, min(first, 1 - width)) + n * gap for n in range(len(group))]

    groups: list[list[int]] = []
    for one in sorted(range(len(wanted)), key=lambda one: wanted[one]):
        groups.append([one])
        while len(groups) > 1 and places(groups[-1])[0] - places(groups[-2])[-1] < gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    found = {one: place for group in groups for one, place in zip(group, places(group), strict=True)}
    return [found[one] for one in range(len(wanted))]


def _scaled(axis: Axis, value: float) -> float:
    return log10(value) if axis.log else value
