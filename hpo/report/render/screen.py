"""A report on one screen of a terminal: the verdict first, and no more than is needed to know whether to believe it.

A study with up to 8 arms and 6 claims takes at most `LINES` lines of `WIDTH` columns. Of a larger one the most
important is shown, and the number of what is left out; `hpo.report.render.text.terminal` has all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.text import Text

from hpo.report.numbers import change, mean
from hpo.report.render.tables import Table, over_settings
from hpo.report.render.text import bullets, claimed, heading, indented, numbers
from hpo.report.verdict.plain import answer, in_plain_words, rests_on
from hpo.report.verdict.results import ArmResult, ClaimResult, Report
from hpo.words.nouns import count
from hpo.words.visible import on_one_line

LINES, WIDTH = 40, 80
MOST_SENTENCES = 3
"""Claims that are told in sentences; of more, each has its numbers in a line."""
MOST_CLAIMS = 6
MOST_ARMS = 8
MOST_CAVEATS = 3
ACROSS_COLUMNS = 4
"""Columns of the table over all settings that fit: the last one, of the middle half, is left out."""
REST = "--full"
"""The option that shows what is left out."""


def one_screen(report: Report, further: Sequence[str] = ()) -> RenderableType:
    """The verdict, the arms, what it rests on, what weakens it, and `further`: the commands that show more."""
    above = [
        *_states(report),
        Text(on_one_line(heading(report)), style="bold"),
        Text(),
        *_claims(report),
        *_arms(report),
    ]
    below = [Text(), Text(on_one_line(rests_on(report)))]
    end = [Text(), *(Text(line) for line in further)] if further else []
    room = LINES - sum(map(_height, (*above, *below, *end)))
    return Group(*above, *below, *_caveats(report, room), *end)


def _states(report: Report) -> Iterator[RenderableType]:
    """What a reader must know before the verdict: that trials have failed, or are still to come."""
    for title, lines, style in (
        ("INCOMPLETE: trials have failed", report.incomplete, "bold red"),
        ("UNFINISHED: this is what is known so far", report.unfinished, "bold yellow"),
    ):
        if lines:
            yield Text(title, style=style)
            yield bullets(lines[:MOST_CAVEATS])
            yield from _left_out(len(lines) - MOST_CAVEATS, "more line")
            yield Text()


def _claims(report: Report) -> Iterator[RenderableType]:
    if len(report.claims) != 1:
        yield Text(on_one_line(answer(report)), style="bold")
        yield Text()
    in_sentences = len(report.claims) <= MOST_SENTENCES
    for claim in report.claims[:MOST_CLAIMS]:
        yield claimed(claim)
        yield indented(on_one_line(_in_sentences(claim, report) if in_sentences else _in_numbers(claim)))
    yield from _left_out(len(report.claims) - MOST_CLAIMS, "more claim")
    if report.claims:
        yield Text()


def _in_sentences(claim: ClaimResult, report: Report) -> str:
    """What was measured, and what it would take to decide what is not."""
    said = in_plain_words(claim)
    if claim.needed is None:
        return said
    return f"{said} If it is as measured, a new study of {count(claim.needed, report.compared_by)} would decide it."


def _in_numbers(claim: ClaimResult) -> str:
    if claim.difference is None:
        return in_plain_words(claim)
    points = "points of " if claim.metric.share else ""
    return f"{claim.compared}: {change(claim.difference, claim.metric)} {points}{claim.metric.words}"


def _arms(report: Report) -> Iterator[RenderableType]:
    """One table: of the arms, or of each over all settings where there are several."""
    across = over_settings(report)
    if across.rows:
        points = ", in points" if report.metric.share else ""
        what = f"the difference in {report.metric.words}{points}, and how likely one run is better"
        yield Text(f"Over all settings, against {report.baseline}: {what}; 95 % intervals.", style="dim")
        yield numbers(_narrow(across))
        yield Text(f"the {count(len(report.arms), 'arm')} setting by setting: {REST}", style="dim")
        return
    what = report.metric.words
    how = f"{what} in percent, differences in points" if report.metric.share else what
    yield Text(f"{how[0].upper()}{how[1:]}; 95 % intervals.", style="dim")
    shown = _most_important(report)
    columns = ("arm", "tried", report.metric.split, "difference")
    rows = tuple(_row(arm, report) for arm in report.arms if arm.name in shown)
    yield numbers(Table("", "", columns, rows))
    yield from _left_out(len(report.arms) - len(rows), "more arm")


def _narrow(table: Table) -> Table:
    rows = tuple(row[:ACROSS_COLUMNS] for row in table.rows)
    return Table(table.title, table.note, table.columns[:ACROSS_COLUMNS], rows)


def _row(arm: ArmResult, report: Report) -> tuple[str, ...]:
    difference = "baseline" if arm.is_baseline else change(arm.difference, report.metric)
    return arm.name, str(arm.tried), mean(arm.reached(report.metric), report.metric), difference


def _most_important(report: Report) -> set[str]:
    """The arms that claims are about, what arms are compared with, and the best of the others."""
    best_first = sorted(report.arms, key=lambda arm: _place(arm, report))
    wanted = (
        *(name for claim in report.claims for name in claim.arms),
        *(arm.name for arm in report.arms if arm.is_baseline),
        *(arm.name for arm in best_first),
    )
    return set(list(dict.fromkeys(wanted))[:MOST_ARMS])


def _height(part: RenderableType) -> int:
    """Lines that it takes on a screen as wide as is planned for, however wide this one is."""
    return len(Console(width=WIDTH).render_lines(part, pad=False))


def _place(arm: ArmResult, report: Report) -> float:
    found = arm.reached(report.metric)
    return report.metric.place(found.mean if found else None)


def _caveats(report: Report, room: int) -> Iterator[RenderableType]:
    """What weakens the verdict: the first, and further ones as long as there is room for them."""
    if not report.caveats:
        return
    shown = [report.caveats[0]]
    left = room - 1 - _height(bullets(shown))
    for line in report.caveats[1:MOST_CAVEATS]:
        left -= _height(bullets([line]))
        if left < 0:
            break
        shown.append(line)
    more = len(report.caveats) - len(shown)
    yield Text(f"What weakens it{f' ({more} more: {REST})' if more else ''}:")
    yield bullets(shown, style="yellow")


def _left_out(n: int, noun: str) -> Iterator[Text]:
    if n > 0:
        yield Text(f"{count(n, noun)}: {REST}", style="dim")
