"""The page that leads to several reports: each study with its question, its verdict, and what became of its claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from urllib.parse import quote

from hpo.report.render.html import document
from hpo.report.render.page import kind_of
from hpo.report.verdict.plain import answer
from hpo.report.verdict.results import Report

INDEX = "index.html"


def address(report: Report) -> str:
    """Where the page of a report is, seen from the index."""
    name = quote(report.name)
    return f"{name}/{name}.html"


def index(reports: Sequence[Report]) -> str:
    """The whole page."""
    return document(_title(reports), _body(reports))


def _title(reports: Sequence[Report]) -> str:
    return f"{len(reports)} studies"


def _body(reports: Sequence[Report]) -> Iterator[str]:
    yield f"<header><h1>{_title(reports)}</h1></header>"
    yield "<main>"
    for report in reports:
        yield from _study(report)
    yield "</main>"


def _study(report: Report) -> Iterator[str]:
    id = f"study-{escape(report.name)}"
    yield f'<section aria-labelledby="{id}">'
    yield f'<h2 id="{id}"><a href="{address(report)}">{escape(report.title or report.name)}</a></h2>'
    yield f'<p class="answer">{escape(answer(report))}</p>'
    if report.claims:
        yield '<ul class="claims brief">'
        for claim in report.claims:
            yield f'<li class="{kind_of(claim)}"><strong>{claim.shown}</strong> {escape(claim.text)}</li>'
        yield "</ul>"
    state = "Trials have failed. " if report.incomplete else "Not finished yet. " if report.unfinished else ""
    arms = ", ".join(arm.name for arm in report.arms)
    yield f'<p class="quiet">{state}Study {escape(report.name)}: {escape(arms)}. {escape(report.compute)}</p>'
    yield "</section>"
