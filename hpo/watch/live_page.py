"""The page of a study while it runs, and the list of studies: each in one file, and with nothing from the network.

The page asks for what `hpo.watch.live` says of the study, and shows it with one script, which its policy names by its
hash. It asks nobody else, and nothing else may run in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from urllib.parse import quote

from hpo.report.render.html import document, hashed, section, style
from hpo.watch.progress import Standing

LIVE = "/live"
PROVISIONAL = "Provisional: no claim is decided before all trials are done."


@cache
def policy() -> str:
    """What the pages may load and run."""
    own = f"style-src {hashed(_style())}; script-src {hashed(_script())}; connect-src 'self'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def address(study: str) -> str:
    """Where the page of a study is; what it shows is there with `.json` behind it."""
    return f"{LIVE}/{quote(study, safe='')}"


def live_page(study: str) -> str:
    """The page of one study, still empty."""
    return document(study, _study(study), policy(), _style())


def index_page(standings: Sequence[Standing]) -> str:
    """The list of all studies with their states."""
    return document("Studies", _index(standings), policy(), _style())


def _study(study: str) -> Iterator[str]:
    yield from (
        "<header>",
        f"<h1>{escape(study)}</h1>",
        f'<nav><ul><li><a href="{LIVE}">All studies</a></li><li><a href="/dashboard">Every trial</a></li></ul></nav>',
        "</header>",
        f'<main data-address="{escape(address(study))}.json">',
        "<noscript><p>This page needs JavaScript. On a terminal the same is shown by "
        f"<code>hpo status {escape(study)} --watch</code>.</p></noscript>",
        '<p id="gone" class="notice" role="alert" hidden></p>',
        '<p class="state"><span id="state" role="status">loading</span> <span id="left" class="quiet"></span></p>',
        '<p id="doing"></p>',
        f'<p id="over" hidden>As a page with figures: <code>hpo report {escape(study)} -o DIR</code>.</p>',
        '<progress id="progress" aria-label="Trials done"></progress>',
        '<p id="count" class="quiet"></p>',
    )
    yield from section("arms-part", "Arms", _arms())
    yield '<div id="claims-part" hidden>'
    claims = (f'<p class="quiet">{PROVISIONAL}</p>', '<ul id="claims" class="claims brief"></ul>')
    yield from section("claims-section", "Which way the claims lean", claims)
    yield "</div>"
    yield from section("workers-part", "Workers", ('<ul id="workers"></ul>',))
    yield '<div id="failure-part" hidden>'
    yield from section("failure-section", "Last failure", ('<p id="failure" class="failure"></p>',))
    yield "</div>"
    yield "</main>"
    yield f"<script>{_script()}</script>"


def _arms() -> Iterator[str]:
    yield '<div class="scroll" role="region" aria-labelledby="caption" tabindex="0">'
    yield '<table class="arms"><caption id="caption"><span>Best: of the search so far, by '
    yield '<bdi id="metric">its metric</bdi>; its learning curve, on one scale for all arms.</span></caption>'
    heads = ('<th scope="col" class="bar">progress</th>', *(f'<th scope="col">{head}</th>' for head in _HEADS))
    yield f'<thead><tr><th scope="col">arm</th>{"".join(heads)}</tr></thead>'
    yield '<tbody id="arms"></tbody></table></div>'


_HEADS = ("done", "best", "its curve")


def _index(standings: Sequence[Standing]) -> Iterator[str]:
    yield "<header><h1>Studies</h1>"
    yield '<nav><ul><li><a href="/dashboard">Every trial</a></li></ul></nav></header>'
    yield "<main>"
    yield "<ul>" if standings else "<p>There is no study here yet: <code>hpo launch-study FILE</code>.</p>"
    for standing in standings:
        name, done = standing.row.name, sum(arm.done for arm in standing.progress)
        total = sum(arm.total for arm in standing.progress)
        link = f'<a href="{escape(address(name))}">{escape(name)}</a>'
        yield f"<li>{link}: {standing.state}, {done} of {total} trials done</li>"
    yield "</ul>" if standings else ""
    yield "</main>"


@cache
def _style() -> str:
    return style() + files("hpo.watch").joinpath("live.css").read_text(encoding="utf-8")


@cache
def _script() -> str:
    return files("hpo.watch").joinpath("live.js").read_text(encoding="utf-8")
