"""Figures drawn with matplotlib: whole for files (SVG, PNG), panel by panel for a page.

A panel for a page takes the page's font and ink, and an arm's colour from the CSS variable `--arm-N`, so that it is
right on light and on dark paper; it is small, and the page puts as many beside each other as there is room for. The
same figure gives the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hpo.report.figures.labels import labels
from hpo.report.figures.palette import DASHES, LIGHT, MARKERS, TOLD_APART, look
from hpo.report.figures.values import Axis, Figure, Series, shortened
from hpo.words.visible import on_one_line

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis as DrawnAxis
    from matplotlib.figure import Figure as Canvas

PANEL = (4.6, 3.1)
"""Inches of 72 units; on a page a unit is a pixel, or more where there is room."""
LEGEND_LINE = 0.2
"""Inches."""
INK, RULE = "#1b1f24", "#d3d7db"
DOTS_PER_INCH = 150
LABEL = 14
"""Characters of an arm's name beside its line."""
MARKS = 8
"""About so many on a line that has any."""
CROWDED = 40
"""More characters than that below an axis are turned."""
STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,
}


def panels(figure: Figure) -> list[str]:
    """An SVG element for each panel, to be put into a page; what it shows, the page has to say."""
    return [_element(figure, index) for index in range(len(figure.panels))]


def swatch(arm: int) -> str:
    """A piece of an arm's line, for the legend of a page."""
    its = look(arm)
    dashes = " ".join(f"{2 * length:g}" for length in DASHES[its.dash]) or "none"
    return (
        '<svg class="swatch" viewBox="0 0 36 4" width="36" height="4" aria-hidden="true">'
        f'<path d="M0 2h36" stroke="var(--arm-{its.colour})" stroke-width="2" stroke-dasharray="{dashes}"/></svg>'
    )


def svg(figure: Figure) -> bytes:
    """The figure as an SVG file on white paper."""
    return _rendered(figure, range(len(figure.panels)), "svg", whole=True)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file on white paper."""
    return _rendered(figure, range(len(figure.panels)), "png", whole=True)


def _element(figure: Figure, index: int) -> str:
    """The panel's SVG without what belongs to a file, with ids that nothing else on a page has."""
    text = _rendered(figure, [index], "svg", whole=False).decode()
    found = re.search(r'<svg\b[^>]*?viewBox="([^"]*)"[^>]*>(.*)</svg>', text, flags=re.DOTALL)
    assert found is not None
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", found[2], flags=re.DOTALL)
    referred = set(re.findall(r'(?:url\(|href=")#(\w+)', text))
    text = re.sub(r' id="(?!(?:' + "|".join(referred) + r')")[^"]*"', "", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{figure.id}-{index}-", text)
    text = re.sub(r" font-family: [^;]*;", "", text)
    text = text.replace(INK, "currentColor").replace(RULE, "var(--rule)")
    for n, colour in enumerate(LIGHT):
        text = text.replace(colour, f"var(--arm-{n})")
    text = re.sub(r"\s*\n\s*", "\n", text).strip()
    return f'<svg viewBox="{found[1]}" aria-hidden="true" focusable="false">\n{text}\n</svg>'


def _rendered(figure: Figure, shown: Sequence[int], form: str, *, whole: bool) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    columns = 2 if len(shown) == 4 else min(len(shown), 3)
    rows = -(-len(shown) // columns)
    legend = 0.2 + LEGEND_LINE * -(-len(figure.shown) // (2 * columns)) if whole else 0.0
    stretch = figure.stretch if whole else max(figure.panels[index].stretch for index in shown)
    size = (PANEL[0] * columns, PANEL[1] * stretch * rows + legend)
    dates = {"Date": None} if form == "svg" else {"Software": None}
    file = io.BytesIO()
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": figure.id}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # that its font lacks; a box stands for it
        canvas = Canvas(figsize=size, layout="constrained", facecolor="white" if whole else "none")
        places = canvas.subplots(rows, columns, squeeze=False).flat
        for axes in places[len(shown) :]:
            axes.remove()
        for axes, index in zip(places, shown, strict=False):
            _draw(axes, figure, index)
        if whole:
            _legend(canvas, figure, columns)
        canvas.savefig(file, format=form, dpi=DOTS_PER_INCH, metadata=dates)
    return file.getvalue()


def _draw(axes: Axes, figure: Figure, index: int) -> None:
    panel = figure.panels[index]
    for series in figure.series:
        if series.panel == index:
            arm = figure.arms.index(series.arm)
            _series(axes, series, arm)
            if len(figure.arms) > TOLD_APART:
                _label(axes, series, LIGHT[look(arm).colour])
    for named in labels(figure, index):
        colour = LIGHT[look(figure.arms.index(named.arm)).colour]
        beside = axes.text(1.02, named.y, shortened(named.arm, LABEL), color=colour, fontsize=8, va="center")
        beside.set_transform(axes.get_yaxis_transform())
    if panel.title:
        axes.set_title(on_one_line(panel.title))
    axes.set_xscale("log" if panel.x.log else "linear")
    axes.set_yscale("log" if panel.y.log else "linear")
    axes.set_xlim(panel.x.limits)
    axes.set_ylim(panel.y.limits)
    _axis(axes.xaxis, panel.x)
    _axis(axes.yaxis, panel.y)
    if panel.x.zero:
        axes.axvline(0, color=INK, linewidth=0.8)
    if panel.y.zero:
        axes.axhline(0, color=INK, linewidth=0.8)
    if panel.x.ticks and sum(len(text) for _, text in panel.x.ticks) > CROWDED:
        axes.tick_params(axis="x", labelrotation=25)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")


def _series(axes: Axes, series: Series, arm: int) -> None:
    its = look(arm)
    colour, marker = LIGHT[its.colour], MARKERS[its.marker]
    line = _line(arm) | {"markevery": max(1, len(series.x) // MARKS), "markersize": 4}
    x, y, low, high = series.x, series.y, series.low, series.high
    match series.style:
        case "line":
            axes.plot(x, y, **line)
            if low:
                axes.fill_between(x, low, high, color=colour, alpha=0.1, linewidth=0)
                for edge in (low, high):
                    axes.plot(x, edge, **_line(arm) | {"linewidth": 0.7, "marker": None, "alpha": 0.6})
        case "thread":
            axes.plot(x, y, **line | {"linewidth": 0.9, "alpha": 0.8})
        case "step":
            axes.step(x, y, where="post", **line)
        case "points":
            axes.plot(x, y, marker, color=colour)
            if low:
                axes.vlines(x, low, high, color=colour)
        case "small points" | "large points":
            axes.plot(x, y, marker, color=colour, markersize=3 if series.style == "small points" else 7)
        case "open points":
            axes.plot(x, y, marker, color=colour, markerfacecolor="none", markeredgewidth=1.0)
        case "margin":
            axes.barh(y, high[0] - low[0], 1.0, low, color=RULE, alpha=0.6, zorder=0.5)
        case "intervals":
            axes.plot(x, y, marker, color=colour, markersize=7)
            axes.hlines(y, low, high, color=colour, linewidth=2.2)


def _line(arm: int) -> dict[str, Any]:
    """How an arm's line is drawn; marks tell those apart that have a colour in common."""
    its = look(arm)
    dashes = (0, DASHES[its.dash]) if DASHES[its.dash] else "-"
    marker = MARKERS[its.marker] if arm >= len(LIGHT) else None
    return {"color": LIGHT[its.colour], "linestyle": dashes, "marker": marker}


def _label(axes: Axes, series: Series, colour: str) -> None:
    """The arm's name at the end of its line, or at its last point."""
    end = (series.x[-1], series.y[-1])
    axes.annotate(shortened(series.arm, 16), end, (3, 0), textcoords="offset points", fontsize=5, color=colour)


def _axis(drawn: DrawnAxis, axis: Axis) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    drawn.set_label_text(on_one_line(axis.label))
    if axis.log:
        low, high = drawn.get_view_interval()
        steps = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)
        drawn.set_major_locator(LogLocator(subs=steps, numticks=8))
        drawn.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        drawn.set_minor_locator(NullLocator())
    else:
        drawn.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10], integer=axis.whole))
    if axis.ticks:
        positions = [position for position, _ in axis.ticks]
        drawn.set_ticks(positions, [on_one_line(text) for _, text in axis.ticks])


def _legend(canvas: Canvas, figure: Figure, columns: int) -> None:
    from matplotlib.lines import Line2D

    handles: list[Artist] = []
    for arm in figure.shown:
        number = figure.arms.index(arm)
        handles.append(Line2D([], [], **_line(number) | {"marker": MARKERS[look(number).marker], "label": arm}))
    canvas.legend(handles=handles, loc="outside upper left", handlelength=4, ncols=min(len(handles), 2 * columns))
