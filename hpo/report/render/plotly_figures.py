"""The figures of a report for plotly: whole for optuna-dashboard, panel by panel for a page.

A page draws each panel over the one that `hpo.report.render.svg` has made, in its place, its font and its colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import log10
from typing import TYPE_CHECKING, Any

from hpo.report.figures.labels import labels
from hpo.report.figures.palette import DASHES, LIGHT, PLOTLY_MARKERS, look
from hpo.report.figures.values import Axis, Figure, Panel, Series, shortened
from hpo.words.visible import on_one_line

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

PANEL_HEIGHT = 320
"""Pixels."""
MARGIN = "rgba(128,128,128,0.25)"
WIDTH = 2
"""The width of a line, in pixels."""
FAINT, HALF = "1a", "99"
"""The opacity of a band and of its edges, in hexadecimal, behind its colour."""
LABEL = 14
"""Characters of an arm's name beside its line."""
DIGITS = ".4~g"
"""How a number is shown where one points at it."""


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
        for trace in _traces(figure, series):
            first = series.arm not in named and not trace.get("fill")
            named |= {series.arm} if first else set()
            row, column = divmod(series.panel, columns)
            made.add_trace(trace | {"showlegend": first}, row + 1, column + 1)
    for index in range(used):
        row, column = divmod(index, columns)
        x, y = _axes(figure, index)
        made.update_xaxes(**x, row=row + 1, col=column + 1)
        made.update_yaxes(**y, row=row + 1, col=column + 1)
    made.update_layout(
        title=_text(figure.title),
        template="plotly_white",
        height=round(PANEL_HEIGHT * figure.stretch) * rows + 100,
        legend={"orientation": "h", "y": -0.2 / rows},
    )
    return made


def plotly_panel(figure: Figure, index: int) -> dict[str, Any]:
    """One panel of the figure as traces and axes, without a legend."""
    own = (series for series in figure.series if series.panel == index)
    x, y = _axes(figure, index)
    return {
        "data": [*(trace for series in own for trace in _traces(figure, series)), *_labels(figure, index)],
        "layout": {"title": {"text": _text(figure.panels[index].title)}, "xaxis": x, "yaxis": y},
    }


def _traces(figure: Figure, series: Series) -> Iterator[dict[str, Any]]:
    its = look(figure.arms.index(series.arm))
    colour, symbol = LIGHT[its.colour], PLOTLY_MARKERS[its.marker]
    dash = ",".join(f"{WIDTH * length:g}px" for length in DASHES[its.dash]) or "solid"
    line = {"mode": "lines", "line": {"color": colour, "dash": dash, "width": WIDTH}}
    if figure.arms.index(series.arm) >= len(LIGHT):
        line |= {"mode": "lines+markers", "marker": {"color": colour, "symbol": symbol}}
    x, y, low, high = (list(values) for values in (series.x, series.y, series.low, series.high))
    about = {"type": "scatter", "name": series.arm, "legendgroup": series.arm}
    points = about | {"x": x, "y": y} | _asked(figure.panels[series.panel], series)
    match series.style:
        case "line":
            if low:
                band = {"x": x + x[::-1], "y": high + low[::-1], "fill": "toself", "fillcolor": colour + FAINT}
                edge = {"color": colour + HALF, "dash": dash, "width": 0.7}
                yield about | {"mode": "lines", "line": edge, "hoverinfo": "skip"} | band
            yield points | line
        case "thread":
            yield points | line | {"line": {"color": colour, "dash": dash, "width": 1}}
        case "step":
            yield points | line | {"line": {"color": colour, "dash": dash, "width": WIDTH, "shape": "hv"}}
        case "points":
            marker = {"mode": "markers", "marker": {"color": colour, "symbol": symbol}}
            yield points | marker | ({"error_y": _whiskers(y, low, high)} if low else {})
        case "small points" | "large points":
            size = 4 if series.style == "small points" else 9
            yield points | {"mode": "markers", "marker": {"color": colour, "symbol": symbol, "size": size}}
        case "open points":
            yield points | {"mode": "markers", "marker": {"color": colour, "symbol": f"{symbol}-open"}}
        case "margin":
            corners = {"x": [*low, *high, *high, *low], "y": [y[0] - 0.5, y[0] - 0.5, y[0] + 0.5, y[0] + 0.5]}
            shade = {"fill": "toself", "fillcolor": MARGIN, "line": {"width": 0}, "hoverinfo": "skip"}
            yield about | {"mode": "lines"} | corners | shade
        case "intervals":
            marker = {"mode": "markers", "marker": {"color": colour, "symbol": symbol, "size": 9}}
            yield points | marker | {"error_x": _whiskers(x, low, high)}


def _labels(figure: Figure, index: int) -> Iterator[dict[str, Any]]:
    """The names of the arms at the ends of their lines, as texts that are hidden with them."""
    for label in labels(figure, index):
        shown = {"mode": "text", "textposition": "middle right", "cliponaxis": False, "hoverinfo": "skip"}
        text = {"texttemplate": f" {_text(shortened(label.arm, LABEL))}"}
        colour = {"textfont": {"color": LIGHT[look(figure.arms.index(label.arm)).colour], "size": 11}}
        yield {"type": "scatter", "name": label.arm, "x": [label.x], "y": [label.y]} | shown | text | colour


def _asked(panel: Panel, series: Series) -> dict[str, Any]:
    """What a point says when one points at it: what it is, and its numbers, from lowest to highest where it has both;
    its place among names is no number, and that on a searched path its name says."""
    lines = ["%{text}"] if series.names else []
    measured = "x" if panel.y.ticks else "y"
    for name, axis in (("x", panel.x), ("y", panel.y)):
        if not axis.ticks and not (axis.searched and series.names):
            about = (panel.title, axis.label) if name == measured else (axis.label,)
            ends = f" (%{{customdata[0]:{DIGITS}}} to %{{customdata[1]:{DIGITS}}})"
            more = ends if series.low and name == measured else ""
            lines.append(f"{_text(', '.join(filter(None, about)))}: %{{{name}:{DIGITS}}}{more}")
    asked: dict[str, Any] = {"hovertemplate": "<br>".join(lines) + f"<extra>{_text(series.arm)}</extra>"}
    if series.names:
        asked["text"] = [_lines(name) for name in series.names] * (len(series.x) if len(series.names) == 1 else 1)
    if series.low:
        asked["customdata"] = [[*ends] for ends in zip(series.low, series.high, strict=True)]
    return asked


def _whiskers(middle: list[float], low: list[float], high: list[float]) -> dict[str, Any]:
    above = [end - value for value, end in zip(middle, high, strict=True)]
    below = [value - end for value, end in zip(middle, low, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 2, "width": 0}


def _axes(figure: Figure, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    panel = figure.panels[index]
    own = [series for series in figure.series if series.panel == index]
    x, y = ([value for series in own for value in getattr(series, along)] for along in "xy")
    return _axis(panel.x, x), _axis(panel.y, y)


def _axis(axis: Axis, shown: Sequence[float]) -> dict[str, Any]:
    drawn: dict[str, Any] = {"title": {"text": _text(axis.label)}, "type": "log" if axis.log else "linear"}
    drawn |= {"zeroline": axis.zero, "zerolinecolor": "black", "zerolinewidth": 1}
    if axis.ticks:
        drawn["tickvals"] = [position for position, _ in axis.ticks]
        drawn["ticktext"] = [_text(text) for _, text in axis.ticks]
    if axis.limits:
        drawn["range"] = [log10(end) for end in axis.limits] if axis.log else list(axis.limits)
    if axis.log and not axis.ticks:
        low, high = axis.limits or (min(shown), max(shown))
        drawn |= {"dtick": "D2" if high < 100 * low else 1, "tickformat": "~g"}  # at 1, 2 and 5, or at 1
    return drawn


def _lines(text: str) -> str:
    return "<br>".join(map(_text, text.split("\n")))


def _text(text: str) -> str:
    """Make a text safe for plotly: it reads HTML in every label, links too."""
    return escape(on_one_line(text), quote=False)
