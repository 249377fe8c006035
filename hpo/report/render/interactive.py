"""What makes the figures of a page answer whoever points at them: plotly.js, packed into the page, and our script.

The page's policy names both by their hashes, so that no other script runs in it. The browser unpacks the library; one
that can't, such as those of before 2023, shows the drawings that are there without it.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from hpo.report.figures import Figure
from hpo.report.figures.palette import LIGHT
from hpo.report.render.html import hashed
from hpo.report.render.plotly_figures import plotly_panel

FONT = 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
LAYOUT: dict[str, Any] = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": FONT, "size": 12, "color": "var(--ink)"},
    "hoverlabel": {
        "bgcolor": "var(--paper)",
        "font": {"family": FONT, "color": "var(--ink)"},
        "align": "left",
        "namelength": -1,
    },
    "hovermode": "closest",
    "margin": {"l": 10, "r": 10, "t": 28, "b": 10},
    "showlegend": False,
}
TITLE: dict[str, Any] = {"x": 0, "xref": "paper", "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 6}}
AXIS: dict[str, Any] = {
    "automargin": True,
    "gridcolor": "var(--rule)",
    "linecolor": "var(--ink)",
    "showline": True,
    "ticks": "outside",
    "zerolinecolor": "var(--ink)",
}
LETTER = 6
"""Pixels of a letter beside a line."""
DIGITS = 6
"""Those of a number that count in a drawing; the tables have all of them."""


def scripts(figures: Sequence[Figure]) -> Iterator[str]:
    """The elements that a page ends with: what the figures show, the packed library, and the script that draws."""
    names: dict[str, int] = {}
    data = {figure.id: [_panel(figure, index, names) for index in range(len(figure.panels))] for figure in figures}
    yield _data("figures-data", data)
    yield _data("figures-names", list(names))
    yield f'<script type="text/plain" id="plotly">{_packed()}</script>'
    yield f"<script>{_script()}</script>"


@cache
def policy() -> str:
    """What the page's content policy allows to run."""
    return f"script-src {hashed(_script())} {hashed(_library())}"


def _panel(figure: Figure, index: int, names: dict[str, int]) -> dict[str, Any]:
    """A panel in the page's colours; what points are called stands in `names` once, and here by its place there."""
    made = plotly_panel(figure, index)
    for trace in made["data"]:
        if "text" in trace:
            trace["text"] = [names.setdefault(name, len(names)) for name in trace["text"]]
    own = made["layout"]
    axes = {name: AXIS | own[name] | {"zerolinecolor": AXIS["zerolinecolor"]} for name in ("xaxis", "yaxis")}
    longest = max((len(trace["texttemplate"]) for trace in made["data"] if "texttemplate" in trace), default=0)
    margin = LAYOUT["margin"] | {"r": LAYOUT["margin"]["r"] + LETTER * longest}
    layout = LAYOUT | {"title": TITLE | own["title"] | {"font": {"size": 13}}, "margin": margin} | axes
    painted: dict[str, Any] = _painted({"data": made["data"], "layout": layout})
    return painted


def _painted(value: Any) -> Any:
    """Numbers to the digits that show, and colours by the names that the page's style gives them."""
    if isinstance(value, dict):
        return {key: _painted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_painted(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, str) and value[:7] in LIGHT:
        return f"var(--arm-{LIGHT.index(value[:7])}){value[7:]}"
    return value


def _data(id: str, value: Any) -> str:
    """JSON that ends no element, whatever it holds."""
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{id}">{text}</script>'


@cache
def _packed() -> str:
    return b64encode(gzip.compress(_library().encode(), mtime=0)).decode()


@cache
def _library() -> str:
    from plotly.offline import get_plotlyjs

    library: str = get_plotlyjs()
    return library


@cache
def _script() -> str:
    return files("hpo.report.render").joinpath("page.js").read_text(encoding="utf-8")
