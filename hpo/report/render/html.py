"""Pieces of a page: what a user wrote is escaped in each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape


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
