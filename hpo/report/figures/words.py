"""A figure in words, for those who can't see it: what stands where, panel by panel and arm by arm."""

from __future__ import annotations

from collections.abc import Iterator

from hpo.report.figures.values import Axis, Figure, Panel, Series


def in_words(figure: Figure) -> Iterator[str]:
    """A line for every series that shows results; margins and further points of a row are left out."""
    for index, panel in enumerate(figure.panels):
        title = panel.title or panel.x.label
        for series in figure.series:
            if series.panel == index and series.style != "margin" and series.x:
                which = series.names[0] if len(series.names) == 1 else ""
                yield f"{', '.join(filter(None, (title, series.arm, which)))}: {_said(panel, series)}"


def _said(panel: Panel, series: Series) -> str:
    x, y = panel.x, panel.y
    match series.style:
        case "line" | "step" | "thread":
            best = f", lowest {_number(min(series.y))}, highest {_number(max(series.y))}"
            first, last = (f"{_number(series.y[end])} at {_place(x, series.x[end])}" for end in (0, -1))
            return f"from {first} to {last}{best}"
        case "intervals":
            points = zip(series.x, series.y, series.low, series.high, strict=True)
            return "; ".join(
                f"{_row(panel, series, at)}{_number(mean)} from {_number(low)} to {_number(high)}"
                for mean, at, low, high in points
            )
        case _ if y.ticks and len(set(series.y)) == 1:
            return f"{_row(panel, series, series.y[0])}{', '.join(map(_number, series.x))}"
        case _:
            kind = "pruned trials" if series.style == "open points" else "points"
            return f"{len(series.y)} {kind} from {_number(min(series.y))} to {_number(max(series.y))}"


def _row(panel: Panel, series: Series, at: float) -> str:
    """The name of a row before its numbers, where it isn't that of the arm."""
    name = _place(panel.y, at)
    return "" if name == series.arm else f"{name} "


def _place(axis: Axis, value: float) -> str:
    """A place on an axis: the name that stands nearest, where it has names."""
    if not axis.ticks:
        return f"{axis.label} {_number(value)}".strip()
    return min(axis.ticks, key=lambda tick: abs(tick[0] - value))[1]


def _number(value: float) -> str:
    return f"{value:.4g}"
