"""Pieces of a page, and the page around them: what a user wrote is escaped in each, and what acts instead of showing is
replaced (`hpo.words.visible`)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from importlib.resources import files

from hpo.report.figures.palette import DARK, LIGHT
from hpo.words.visible import visible

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a page may load and run: nothing but its own style."""


def document(title: str, body: Iterable[str], policy: str = POLICY, its_style: str = "") -> str:
    """A whole page, in `its_style` or in the one that all reports have."""
    lines = (
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{its_style or style()}</style>",
        "</head>",
        "<body>",
        *body,
        "</body>",
        "</html>",
        "",
    )
    return visible("\n".join(lines))


def style() -> str:
    """The style of all pages, with the colours of arms as variables."""
    light = "".join(f" --arm-{n}: {colour};" for n, colour in enumerate(LIGHT))
    dark = "".join(f" --arm-{n}: {colour};" for n, colour in enumerate(DARK))
    colours = f":root {{{light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{{dark} }} }}\n"
    return "\n" + files("hpo.report.render").joinpath("page.css").read_text(encoding="utf-8") + colours


def hashed(text: str) -> str:
    """A script or style as a content policy names it."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def section(id: str, title: str, content: Iterable[str]) -> Iterator[str]:
    """A part of a page under a heading, which can be linked to."""
    yield from (f'<section id="{id}" aria-labelledby="{id}-title">', f'<h2 id="{id}-title">{escape(title)}</h2>')
    yield from content
    yield "</section>"


def bullets(lines: Iterable[str]) -> Iterator[str]:
    """A list of lines."""
    yield "<ul>"
    yield from (f"<li>{escape(line)}</li>" for line in lines)
    yield "</ul>"


def notice(title: str, text: str, lines: Iterable[str]) -> Iterator[str]:
    """What a reader must not miss."""
    yield f'<div class="notice" role="note"><strong>{title}:</strong> {text}'
    yield from bullets(lines)
    yield "</div>"


def folded(summary: str, content: Iterable[str]) -> Iterator[str]:
    """What is shown on request; on paper it is shown."""
    yield f"<details><summary>{escape(summary)}</summary>"
    yield from content
    yield "</details>"


def table(id: str, caption: str, heads: Iterable[str], rows: Iterable[str]) -> Iterator[str]:
    """A table that scrolls by itself where it is wider than the page; caption and heads are markup already."""
    yield f'<div class="scroll" role="region" aria-labelledby="{id}" tabindex="0">'
    yield f'<table><caption id="{id}"><span>{caption}</span></caption>'
    yield "<thead><tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead>"
    yield from ("<tbody>", *rows, "</tbody>", "</table>", "</div>")


def row(name: str, cells: Iterable[str]) -> str:
    """A row of a table, whose name is markup already."""
    return f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>'


def cell(value: str, below: str = "") -> str:
    """A cell of a table, with what stands below its value in small letters."""
    return f"<td>{escape(value)}<small>{escape(below)}</small></td>" if below else f"<td>{escape(value)}</td>"
