"""The figures of a report for plotly, which optuna-dashboard shows."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import log10
from typing import TYPE_CHECKING, Any

from hpo.report.figures.palette import DASHES, LIGHT, PLOTLY_MARKERS, look
from hpo.report.figures.values import Axis, Figure, Series
from hpo.words.visible import on_one_line

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

PANEL_HEIGHT = 320
"""Pixels."""
MARGIN = "rgba(128,128,128,0.25)"
WIDTH = 2
"""The width of a line, in pixels."""


def plotly_figure(figure: Figure) -> PlotlyFigure:
    """The figure with one legend entry per arm, which shows or hides it in all panels."""
    from plotly.subplots import make_subplots

    columns = min(len(figure.panels), 2)
    rows = -(-len(figure.panels) // columns)
    used = len(figure.panels)
    places: list[list[dict[str, Any] | None]] = [
        [{} if row * columns + column < used else None for column in range(columns)] for row in range(rows)
    ]
    titles = [_text(panel.title) for panel in figure.panels]
    made = make_subplots(rows, columns, specs=places, subplot_titles=titles, horizontal_spacing=0.15)
    named: set[str] = set()
    for series in figure.series:
        for trace in _traces(series, figure.arms.index(series.arm)):
            first = series.arm not in named and not trace.get("fill")
            named |= {series.arm} if first else set()
            row, column = divmod(series.panel, columns)
            group = {"name": series.arm, "legendgroup": series.arm, "showlegend": first}
            made.add_trace(trace | group, row + 1, column + 1)
    for index, panel in enumerate(figure.panels):
        row, column = divmod(index, columns)
        made.update_xaxes(**_axis(panel.x), row=row + 1, col=column + 1)
        made.update_yaxes(**_axis(panel.y), row=row + 1, col=column + 1)
    made.update_layout(
        title=_text(figure.title),
        template="plotly_white",
        height=round(PANEL_HEIGHT * figure.stretch) * rows + 100,
        legend={"orientation": "h", "y": -0.2 / rows},
    )
    return made


def _traces(series: Series, arm: int) -> Iterator[dict[str, Any]]:
    its = look(arm)
    colour, symbol = LIGHT[its.colour], PLOTLY_MARKERS[its.marker]
    dash = ",".join(f"{WIDTH * length:g}px" for length in DASHES[its.dash]) or "solid"
    line = {"mode": "lines", "line": {"color": colour, "dash": dash, "width": WIDTH}}
    if arm >= len(LIGHT):
        line |= {"mode": "lines+markers", "marker": {"color": colour, "symbol": symbol}}
    x, y, low, high = (list(values) for values in (series.x, series.y, series.low, series.high))
    points = {"type": "scatter", "x": x, "y": y}
    match series.style:
        case "line":
            if low:
                band = {"x": x + x[::-1], "y": high + low[::-1], "fill": "toself", "fillcolor": _faint(colour)}
                yield {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"} | band
            yield points | line
        case "step":
            yield points | line | {"line": {"color": colour, "dash": dash, "width": WIDTH, "shape": "hv"}}
        case "points":
            marker = {"mode": "markers", "marker": {"color": colour, "symbol": symbol}}
            yield points | marker | ({"error_y": _whiskers(y, low, high)} if low else {})
        case "open points":
            yield points | {"mode": "markers", "marker": {"color": colour, "symbol": f"{symbol}-open"}}
        case "margin":
            corners = {"x": [*low, *high, *high, *low], "y": [y[0] - 0.5, y[0] - 0.5, y[0] + 0.5, y[0] + 0.5]}
            shade = {"fill": "toself", "fillcolor": MARGIN, "line": {"width": 0}, "hoverinfo": "skip"}
            yield {"type": "scatter", "mode": "lines"} | corners | shade
        case "intervals":
            marker = {"mode": "markers", "marker": {"color": colour, "symbol": symbol, "size": 9}}
            yield points | marker | {"error_x": _whiskers(x, low, high)}


def _whiskers(middle: list[float], low: list[float], high: list[float]) -> dict[str, Any]:
    above = [end - value for value, end in zip(middle, high, strict=True)]
    below = [value - end for value, end in zip(middle, low, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 2, "width": 0}


def _axis(axis: Axis) -> dict[str, Any]:
    drawn: dict[str, Any] = {"title": _text(axis.label), "type": "log" if axis.log else "linear"}
    drawn |= {"zeroline": axis.zero, "zerolinecolor": "black", "zerolinewidth": 1}
    if axis.ticks:
        drawn["tickvals"] = [position for position, _ in axis.ticks]
        drawn["ticktext"] = [_text(text) for _, text in axis.ticks]
    if axis.limits:
        drawn["range"] = [log10(end) for end in axis.limits] if axis.log else list(axis.limits)
    return drawn


def _text(text: str) -> str:
    """Make a text safe for plotly: it reads HTML in every label, links too."""
    return escape(on_one_line(text), quote=False)


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"
