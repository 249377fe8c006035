"""A report as one self-contained page: no script, no network, readable on light and dark paper, on a phone, in print.

Rules come before the verdict, the verdict before the table, the table before the figures; at the end stands what it
takes to repeat the study. Everything that a user wrote is escaped, what acts instead of showing is replaced
(`hpo.words.visible`), and the page's content policy allows no script.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files

from hpo.metric import Metric
from hpo.report.figures import Figure
from hpo.report.figures.palette import DARK, GLYPHS, LIGHT, look
from hpo.report.numbers import NONE
from hpo.report.render import svg
from hpo.report.render.context import Context
from hpo.report.render.tables import arm_cells, details, tables
from hpo.report.render.text import configuration
from hpo.report.verdict.results import ArmResult, ClaimResult, Report
from hpo.words.nouns import count, plural
from hpo.words.visible import visible

OPTIMISTIC = "search best, optimistic"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: Report, figures: Sequence[Figure], context: Context) -> str:
    """The whole page."""
    return visible("\n".join(_lines(report, figures, context)))


def _lines(report: Report, figures: Sequence[Figure], context: Context) -> list[str]:
    title = report.title or report.name
    return [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_style()}</style>",
        "</head>",
        "<body>",
        "<header>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">Study {escape(report.name)}: {count(len(report.arms), "arm")}, '
        f"compared with {escape(report.baseline)}.</p>",
        *_unfinished(report),
        "</header>",
        "<main>",
        *_section("rules", "Rules", _list(report.rules, "rules")),
        *_section("verdict", "Verdict", _verdict(report)),
        *_section("arms", "Arms", _arms(report)),
        *_section("statistics", "Statistics", _statistics(report)),
        *_section("figures", "Figures", (line for figure in figures for line in _figure(figure))),
        *_section("repeat", "To repeat this", _context(context)),
        "</main>",
        "</body>",
        "</html>",
        "",
    ]


def _style() -> str:
    light = "".join(f" --arm-{n}: {colour};" for n, colour in enumerate(LIGHT))
    dark = "".join(f" --arm-{n}: {colour};" for n, colour in enumerate(DARK))
    colours = f":root {{{light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{{dark} }} }}\n"
    return files("hpo.report.render").joinpath("page.css").read_text(encoding="utf-8") + colours


def _section(id: str, title: str, content: Iterable[str]) -> Iterator[str]:
    yield from (f'<section id="{id}" aria-labelledby="{id}-title">', f'<h2 id="{id}-title">{title}</h2>')
    yield from content
    yield "</section>"


def _list(lines: Iterable[str], kind: str = "") -> Iterator[str]:
    yield f'<ul class="{kind}">' if kind else "<ul>"
    yield from (f"<li>{escape(line)}</li>" for line in lines)
    yield "</ul>"


def _unfinished(report: Report) -> Iterator[str]:
    if report.incomplete:
        yield '<div class="notice" role="note"><strong>Incomplete:</strong> trials have failed.'
        yield from _list(report.incomplete)
        yield "</div>"
    if report.unfinished:
        yield '<div class="notice" role="note"><strong>Unfinished:</strong> this is what is known so far.'
        yield from _list(report.unfinished)
        yield "</div>"


def _verdict(report: Report) -> Iterator[str]:
    if report.claims:
        yield '<ul class="claims">'
        for claim in report.claims:
            yield from _claim(claim)
        yield "</ul>"
    else:
        yield "<p>The study file makes no claim.</p>"
    yield from (f"<p>{escape(line)}</p>" for line in (report.compute, report.devices) if line)
    if report.failures or report.doubts:
        yield from _list((*report.failures, *report.doubts))


def _claim(claim: ClaimResult) -> Iterator[str]:
    kind = claim.verdict.replace(" ", "-")
    yield f'<li class="{kind}"><p><strong>{claim.shown}</strong> {escape(claim.text)}</p>'
    yield f"<p><small>{escape(claim.reason)}</small></p></li>"


def _arms(report: Report) -> Iterator[str]:
    metric = report.metric
    if metric.share:
        what = f"{_plural(metric)} in percent, differences in points of {metric.words}"
    else:
        what = f"{_plural(metric)}, of which the {metric.highest} is best, and differences of {metric.words}"
    caption = (
        f"{what}; ± is half of a 95 % interval, below it the worst and the best {report.compared_by}. "
        f"{report.unit.capitalize()}s of the search and of the confirm phase."
    )
    over = plural(report.compared_by)
    heads = ("arm", "test", "difference", "validation", "search best", "tried", over, f"{report.unit}s")
    rows = (line for index, arm in enumerate(report.arms) for line in _row(index, arm, heads, report))
    shown = [OPTIMISTIC if head == "search best" else head for head in heads]
    yield from _table("arms-caption", caption, shown, rows)
    yield '<div class="arms">'
    for index, arm in enumerate(report.arms):
        yield f"<section><h3>{_named(index, arm.name)}</h3>"
        yield f"<p><small>{escape(details(arm, report))}</small></p>"
        yield f"<pre>{escape(chr(10).join(configuration(arm)))}</pre></section>"
    yield "</div>"


def _statistics(report: Report) -> Iterator[str]:
    for index, table in enumerate(tables(report)):
        rows = (
            f'<tr><th scope="row">{escape(name)}</th>{"".join(map(_cell, values))}</tr>' for name, *values in table.rows
        )
        yield f"<h3>{escape(table.title)}</h3>"
        yield from _table(f"statistics-{index}", table.note, table.columns, rows)


def _table(id: str, caption: str, heads: Iterable[str], rows: Iterable[str]) -> Iterator[str]:
    """A table that scrolls by itself where it is wider than the page."""
    yield f'<div class="scroll" role="region" aria-labelledby="{id}" tabindex="0">'
    yield f'<table><caption id="{id}"><span>{escape(caption)}</span></caption>'
    yield "<thead><tr>" + "".join(f'<th scope="col">{escape(head)}</th>' for head in heads) + "</tr></thead>"
    yield from ("<tbody>", *rows, "</tbody>", "</table>", "</div>")


def _plural(metric: Metric) -> str:
    name = metric.base.replace("_", " ").capitalize()
    return {"Accuracy": "Accuracies", "Loss": "Losses"}.get(name, f"Values of {name}")


def _row(index: int, arm: ArmResult, heads: Sequence[str], report: Report) -> Iterator[str]:
    cells = arm_cells(arm, report)
    yield f'<tr><th scope="row">{_named(index, arm.name)}</th>'
    for head in heads[1:]:
        cell = cells[head]
        if head in ("test", "validation"):
            yield _cell(f"{cell.value} {cell.more}".rstrip(), cell.seeds)
        else:
            yield _cell(cell.value, cell.more)
    yield "</tr>"


def _cell(value: str, below: str = "") -> str:
    return f"<td>{escape(value)}<small>{escape(below)}</small></td>" if below else f"<td>{escape(value)}</td>"


def _named(index: int, arm: str) -> str:
    """The arm's name behind its mark in its colour."""
    its = look(index)
    mark = f'<span style="color: var(--arm-{its.colour})" aria-hidden="true">{GLYPHS[its.marker]}</span>'
    return f"{mark} {escape(arm)}"


def _figure(figure: Figure) -> Iterator[str]:
    few = " few" if len(figure.panels) in (1, 2, 4) else ""
    yield f'<figure id="figure-{figure.id}">'
    yield f"<h3>{escape(figure.title)}</h3>"
    yield '<ul class="legend">'
    yield from (
        f"<li>{svg.swatch(figure.arms.index(arm))} {_named(figure.arms.index(arm), arm)}</li>" for arm in figure.shown
    )
    yield "</ul>"
    yield f'<div class="panels{few}" role="img" aria-label="{escape(figure.title)}: {escape(figure.caption)}">'
    yield from svg.panels(figure)
    yield "</div>"
    yield f"<figcaption>{escape(figure.caption)}</figcaption>"
    yield "</figure>"


def _context(context: Context) -> Iterator[str]:
    if context.mixed:
        yield (
            f'<p class="notice" role="note">The workers differed in {", ".join(context.mixed)}: between them the same '
            "trial is equal statistically, not bit by bit.</p>"
        )
    entries = {
        "Seeds": context.seeds,
        "Machines": context.machines,
        "Planned by": (f"hpo {context.hpo_version}",),
        "Data, fingerprint": (context.data or NONE,),
    }
    yield "<dl>"
    for name, lines in entries.items():
        yield f"<dt>{name}</dt>"
        yield from (f"<dd>{escape(line)}</dd>" for line in lines or (NONE,))
    yield "</dl>"
    yield f"<pre>{escape(chr(10).join(context.commands))}</pre>"
    yield f"<details><summary>The study file</summary><pre>{escape(context.study_file)}</pre></details>"
