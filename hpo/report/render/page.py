"""A report as one self-contained page: no network, readable on light and dark paper, on a phone, in print.

The question comes first, then the verdict in one sentence, beside the claims the figure that shows it, and below them
what it rests on; figures and numbers follow. At the end stand the rules, to which words lead that need them, and what
it takes to repeat the study. The page's content policy allows no script but those that let figures answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from hpo.report.figures import Figure
from hpo.report.numbers import NONE
from hpo.report.render.context import Context
from hpo.report.render.html import POLICY, bullets, document, folded, notice, section
from hpo.report.render.interactive import policy, scripts
from hpo.report.render.page_figures import HINT, drawn
from hpo.report.render.page_numbers import arms, configurations, statistics
from hpo.report.render.page_rules import Rules
from hpo.report.verdict.plain import answer, in_plain_words, rests_on
from hpo.report.verdict.results import ClaimResult, Report
from hpo.words.nouns import count

FOREST = "standing"
"""The figure that shows the verdict, which stands beside the claims."""
SECTIONS = {
    "verdict": "Verdict",
    "figures": "Figures",
    "numbers": "Numbers",
    "rules": "Rules",
    "repeat": "To repeat this",
}


def page(report: Report, figures: Sequence[Figure], context: Context) -> str:
    """The whole page."""
    allowed = f"{POLICY}; {policy()}" if figures else POLICY
    return document(report.title or report.name, _body(report, figures, context), allowed)


def _body(report: Report, figures: Sequence[Figure], context: Context) -> Iterator[str]:
    rules = Rules(report.rules)
    contents = {
        "verdict": _verdict(report, [figure for figure in figures if figure.id == FOREST], context, rules),
        "figures": _figures([figure for figure in figures if figure.id != FOREST]),
        "numbers": (*arms(report, rules), *configurations(report), *statistics(report)),
        "rules": rules.listed(),
        "repeat": _context(context),
    }
    yield from (
        "<header>",
        f"<h1>{escape(report.title or report.name)}</h1>",
        f'<p class="quiet">Study {escape(report.name)}: {count(len(report.arms), "arm")}, '
        f"compared with {escape(report.baseline)}.</p>",
        *_unfinished(report),
        "<nav><ul>",
        *(f'<li><a href="#{id}">{heading}</a></li>' for id, heading in SECTIONS.items()),
        "</ul></nav>",
        "</header>",
        "<main>",
    )
    for id, heading in SECTIONS.items():
        yield from section(id, heading, contents[id])
    yield "</main>"
    if figures:
        yield from scripts(figures)


def _unfinished(report: Report) -> Iterator[str]:
    if report.incomplete:
        yield from notice("Incomplete", "trials have failed.", report.incomplete)
    if report.unfinished:
        yield from notice("Unfinished", "this is what is known so far.", report.unfinished)


def _verdict(report: Report, forest: Sequence[Figure], context: Context, rules: Rules) -> Iterator[str]:
    yield f'<p class="answer">{escape(answer(report))}</p>'
    yield '<div class="beside">'
    yield '<ul class="claims">' if report.claims else "<p>The study file makes no claim.</p>"
    for n, claim in enumerate(report.claims, 1):
        yield from _claim(n if len(report.claims) > 1 else None, claim, rules)
    yield "</ul>" if report.claims else ""
    for figure in forest:
        yield from drawn(figure)
    yield "</div>"
    yield f'<p class="rests">{rules.linked(rests_on(report, context.devices))}</p>'
    if report.caveats:
        yield "<h3>What weakens it</h3>"
        yield from bullets(report.caveats)


def kind_of(claim: ClaimResult) -> str:
    """The verdict as the page's style calls it."""
    return claim.verdict.replace(" ", "-")


def _claim(number: int | None, claim: ClaimResult, rules: Rules) -> Iterator[str]:
    counted = f'<span class="quiet">{number}</span> ' if number else ""
    yield f'<li class="{kind_of(claim)}">'
    yield f"<p>{counted}<strong>{rules.link('Claims', claim.shown)}</strong> {escape(claim.text)}</p>"
    yield f"<p>{rules.linked(in_plain_words(claim))}</p>"
    yield f"<details><summary>How sure that is</summary><p>{rules.linked(claim.reason)}</p></details></li>"


def _figures(figures: Sequence[Figure]) -> Iterator[str]:
    yield f'<p class="hint">{HINT}</p>' if figures else "<p>There is nothing to draw yet.</p>"
    for figure in figures:
        yield from drawn(figure)


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
    yield from folded("The study file", [f"<pre>{escape(context.study_file)}</pre>"])
