"""The figures of a page: each with its legend, its drawings, what they show, and all of that in words."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from hpo.report.figures import Figure
from hpo.report.figures.words import in_words
from hpo.report.render import svg
from hpo.report.render.html import bullets, folded
from hpo.report.render.page_numbers import named

HINT = (
    "Point at a point for its value and its trial; drag to zoom, and click twice to see all again; click an arm to "
    "hide it. With the keyboard: tab to a figure, then left and right, + and -, and 0."
)
"""Shown where the script runs."""


def drawn(figure: Figure) -> Iterator[str]:
    """The figure as an element."""
    few = " few" if len(figure.panels) in (1, 2, 4) else ""
    title, words = f"{figure.id}-title", f"{figure.id}-words"
    yield f'<figure id="figure-{figure.id}" aria-labelledby="{title}" aria-describedby="{words}">'
    yield f'<h3 id="{title}">{escape(figure.title)}</h3>'
    yield '<ul class="legend">'
    for arm in figure.shown:
        place = figure.arms.index(arm)
        yield f'<li data-arm="{escape(arm)}">{svg.swatch(place)} {named(place, arm)}</li>'
    yield "</ul>"
    yield f'<div class="panels{few}">'
    for index, panel in enumerate(svg.panels(figure)):
        yield f'<div class="panel" data-figure="{figure.id}" data-panel="{index}">{panel}</div>'
    yield "</div>"
    yield f"<figcaption>{escape(figure.caption)}"
    yield from folded("In words", [f'<div id="{words}">', *bullets(in_words(figure)), "</div>"])
    yield "</figcaption></figure>"
