"""The tables of a page: what each arm reached and spent, where their configurations differ, and the statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from hpo.metric import Metric
from hpo.report.figures.palette import GLYPHS, look
from hpo.report.numbers import NONE, readable
from hpo.report.render.html import cell, folded, row, table
from hpo.report.render.page_rules import Rules
from hpo.report.render.tables import arm_cells, details, tables
from hpo.report.render.text import configuration
from hpo.report.verdict.differing import differing, values
from hpo.report.verdict.results import ArmResult, Report
from hpo.words.nouns import plural

OPTIMISTIC = "search best, optimistic"


def named(index: int, arm: str) -> str:
    """The arm's name behind its mark in its colour."""
    its = look(index)
    mark = f'<span style="color: var(--arm-{its.colour})" aria-hidden="true">{GLYPHS[its.marker]}</span>'
    return f"{mark} {escape(arm)}"


def arms(report: Report, rules: Rules) -> Iterator[str]:
    """What each arm reached and spent."""
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
    shown = [rules.linked(OPTIMISTIC if head == "search best" else head) for head in heads]
    rows = [_row(index, arm, heads, report) for index, arm in enumerate(report.arms)]
    yield from table("arms", rules.linked(caption), shown, rows)
    ended = (
        f"<li>{named(index, arm.name)}: {escape(details(arm, report))}</li>" for index, arm in enumerate(report.arms)
    )
    yield from folded("How the trials of each arm ended", ["<ul>", *ended, "</ul>"])


def _plural(metric: Metric) -> str:
    name = metric.base.replace("_", " ").capitalize()
    return {"Accuracy": "Accuracies", "Loss": "Losses"}.get(name, f"Values of {name}")


def _row(index: int, arm: ArmResult, heads: Sequence[str], report: Report) -> str:
    found = arm_cells(arm, report)
    cells = []
    for head in heads[1:]:
        shown = found[head]
        if head in ("test", "validation"):
            cells.append(cell(f"{shown.value} {shown.more}".rstrip(), shown.seeds))
        else:
            cells.append(cell(shown.value, shown.more))
    return row(named(index, arm.name), cells)


def configurations(report: Report) -> Iterator[str]:
    """The values in which the arms' configurations differ, side by side."""
    paths = differing(report.arms)
    if not paths:
        return
    several = any(len(arm.trials) > 1 for arm in report.arms)
    each = " Of several searches, what each of them chose, in their order." if several else ""
    caption = f"The configurations that represent the arms, to three digits.{each}"
    heads = ("arm", *(f"<code>{escape(path).replace('.', '.<wbr>')}</code>" for path in paths))
    rows = (
        row(named(index, arm.name), (_values(values(arm, path)) for path in paths))
        for index, arm in enumerate(report.arms)
    )
    yield "<h3>Where the configurations differ</h3>"
    yield from table("configurations", caption, heads, rows)
    chosen = "\n\n".join("\n".join((f"# {arm.name}", *configuration(arm))) for arm in report.arms)
    yield from folded("What was searched, to the last digit", [f"<pre>{escape(chosen)}</pre>"])


def _values(found: Sequence[Any]) -> str:
    return f'<td class="values">{", ".join(map(_value, found)) or NONE}</td>'


def _value(value: Any) -> str:
    if value is None:
        return NONE
    shown = escape(readable(value))
    is_rounded = isinstance(value, float) and float(shown) != value
    return f'<span title="{value}">{shown}</span>' if is_rounded else shown


def statistics(report: Report) -> Iterator[str]:
    """Every other table, folded."""
    for index, shown in enumerate(tables(report)):
        rows = (row(escape(name), map(cell, cells)) for name, *cells in shown.rows)
        heads = map(escape, shown.columns)
        yield from folded(shown.title, table(f"statistics-{index}", escape(shown.note), heads, rows))
