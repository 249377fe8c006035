"""A whole report as text: for the terminal, at 80 columns or more, and as Markdown. Shares are in percent.

Titles, claims and searched values are a user's own text: neither rich's markup nor Markdown in them is
interpreted, and what acts instead of showing is replaced (`hpo.words.visible`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hpo.report.render.tables import Table as Numbers
from hpo.report.render.tables import arm_cells, details, tables
from hpo.report.toml import key_of, toml
from hpo.report.verdict.plain import answer
from hpo.report.verdict.results import ArmResult, ClaimResult, Report
from hpo.words.nouns import plural
from hpo.words.visible import on_one_line

STYLES = {
    "supported": "bold green",
    "contradicted": "bold red",
    "no difference": "bold cyan",
    "undecided": "bold yellow",
    "incomplete": "bold red",
}


def terminal(report: Report) -> RenderableType:
    """All of it: rules, claims, the arms' table, their configurations, and what they spent."""
    parts: list[RenderableType] = []
    if report.incomplete:
        parts += [Text("INCOMPLETE: trials have failed", style="bold red"), bullets(report.incomplete)]
    if report.unfinished:
        parts += [
            Text("UNFINISHED: this is what is known so far", style="bold yellow"),
            bullets(report.unfinished),
        ]
    parts += [
        Text(on_one_line(heading(report)), style="bold"),
        bullets(report.rules, style="dim"),
        *(_claim(claim) for claim in report.claims),
        Text(),
        Text(_units(report), style="dim"),
        _table(report),
        Text(report.compute),
    ]
    if report.caveats:
        parts.append(bullets(report.caveats, style="yellow"))
    for table in tables(report):
        parts += [Text(), _title(table), numbers(table)]
    for arm in report.arms:
        parts += [Text(), Text(f"{arm.name}: {details(arm, report)}"), indented("\n".join(configuration(arm)), "cyan")]
    return Group(*parts)


def _title(table: Numbers) -> Text:
    return Text(f"{on_one_line(table.title)}. ", style="bold").append(on_one_line(table.note), style="not bold dim")


def numbers(table: Numbers) -> Table:
    """A table of numbers, each column as wide as what it holds."""
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, column in enumerate(table.columns):
        if place == 0:
            view.add_column(column, overflow="fold")
        else:
            view.add_column(column.replace(" to ", " to\n"), justify="right", overflow="fold")
    for row in table.rows:
        view.add_row(*(Text(on_one_line(cell)) for cell in row))
    return view


def bullets(lines: Iterable[str], style: str = "") -> Table:
    """A list, a dash before each line."""
    grid = Table.grid(padding=(0, 1))
    for line in lines:
        grid.add_row("-", Text(on_one_line(line)), style=style)
    return grid


def _claim(claim: ClaimResult) -> Group:
    return Group(Text(), claimed(claim), indented(claim.reason))


def claimed(claim: ClaimResult) -> Text:
    """The verdict on a claim, and what it says."""
    verdict = Text(claim.shown.upper(), style=STYLES[claim.verdict])
    return verdict.append(f": {on_one_line(claim.text)}", style="not bold default")


def indented(text: str, style: str = "") -> Padding:
    """A text below a heading."""
    return Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, 2))


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for column in _columns(report):
        if column == "arm":
            table.add_column(column, overflow="fold")
        else:
            table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=True)
    for arm in report.arms:
        table.add_row(*(Text("\n".join(lines).rstrip()) for lines in _row(arm, report)))
    return table


def _row(arm: ArmResult, report: Report) -> Iterator[tuple[str, str]]:
    """What stands in each column: the number, and what belongs below or behind it."""
    cells = arm_cells(arm, report)
    for head in _columns(report):
        yield cells[head].value, cells[head].more


def _columns(report: Report) -> tuple[str, ...]:
    over = plural(report.compared_by)
    return ("arm", "tried", "search best", "validation", "test", "difference", over, f"{report.unit}s")


def heading(report: Report) -> str:
    """The name of the study, and what it asks."""
    return f"{report.name}: {report.title}" if report.title else report.name


def _units(report: Report) -> str:
    what = report.metric.words
    if report.metric.share:
        return f"In percent; differences in points of {what}; {report.unit}s of search + confirm."
    return f"Of {what}, of which the {report.metric.highest} is best; {report.unit}s of search + confirm."


def configuration(arm: ArmResult) -> list[str]:
    """The configuration that represents an arm, as a study file would write it, a line per searched path; of several
    searches what each of them chose."""
    if arm.configuration is None:
        return ["# no configuration has finished"]
    if not arm.configuration:
        return ["# nothing searched: the arm's own trial"]
    if len(arm.configurations) == 1:
        return _lines(arm.configuration)
    return [
        line
        for search, configuration in arm.configurations.items()
        for line in (f"# search {search}", *_lines(configuration))
    ]


def _lines(configuration: Mapping[str, Any]) -> list[str]:
    return [on_one_line(f"{_path(path)} = {toml(value)}") for path, value in configuration.items()]


def _path(path: str) -> str:
    return ".".join(key_of(key) for key in path.split("."))


def markdown(report: Report) -> str:
    """The verdict as a Markdown document."""
    lines = [f"# {escape(heading(report))}", ""]
    if report.incomplete:
        lines += ["**Incomplete**: trials have failed.", "", *_items(report.incomplete), ""]
    if report.unfinished:
        lines += ["**Unfinished**: this is what is known so far.", "", *_items(report.unfinished), ""]
    lines += [f"**{escape(answer(report))}**", ""]
    if report.claims:
        lines += ["## Claims", ""]
        lines += [f"- **{c.shown}**: {escape(c.text)}\\\n  {escape(c.reason)}" for c in report.claims]
        lines += [""]
    lines += ["## Arms", "", _units(report), ""]
    lines += _head(_columns(report))
    lines += [_cells(escape(" ".join(cell).rstrip()) for cell in _row(arm, report)) for arm in report.arms]
    lines += ["", escape(report.compute), ""]
    if report.caveats:
        lines += [*_items(report.caveats), ""]
    for table in tables(report):
        lines += [f"## {escape(table.title)}", "", escape(table.note), ""]
        lines += _head(table.columns)
        lines += [*(_cells(map(escape, row)) for row in table.rows), ""]
    lines += ["## Configurations", ""]
    for arm in report.arms:
        lines += [
            f"### {escape(arm.name)}",
            "",
            escape(details(arm, report)),
            "",
            "```toml",
            *configuration(arm),
            "```",
            "",
        ]
    return "\n".join([*lines, "## Rules", "", *_items(report.rules), ""])


def _items(lines: Iterable[str]) -> list[str]:
    return [f"- {escape(line)}" for line in lines]


def _head(columns: Sequence[str]) -> list[str]:
    """The head of a table whose first column holds names and whose others hold numbers."""
    return [_cells(columns), _cells(("---", *["---:"] * (len(columns) - 1)))]


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """`text` as Markdown that reads as it is: on one line, every character that could mean something escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$])", r"\\\1", on_one_line(text))
