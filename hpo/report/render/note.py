"""What stands at an arm in the dashboard, in a note that it shares with the people who write there."""

from __future__ import annotations

from collections.abc import Mapping

from hpo.report.numbers import NONE, change, mean, number
from hpo.report.render.text import escape, markdown
from hpo.report.verdict.results import ArmResult, Report
from hpo.words.nouns import count

BEGIN, END = "[//]: # (hpo report begins)", "[//]: # (hpo report ends)"
"""Around our part of a note: definitions of a link that nothing uses, which Markdown doesn't show."""
FOOTER = "*The next `hpo report` replaces this; what you write above or below it stays.*"


def note(report: Report, arm: ArmResult, links: Mapping[str, str]) -> str:
    """What stands at an arm: its own result, the files, and the whole verdict; `links` is file name -> address."""
    metric = report.metric
    measured = arm.reached(metric)
    what = metric.words + (", percent" if metric.share else "")
    own = {
        what: f"{mean(measured, metric)} ({count(measured.n, report.compared_by)})" if measured else NONE,
        "search best, optimistic": f"{number(arm.search_best, report.objective)} of {arm.tried} tried",
    }
    if not arm.is_baseline:
        own[f"difference to {escape(report.baseline)}"] = change(arm.difference, metric)
    lines = [f"# {escape(arm.name)}", "", f"| arm | {escape(arm.name)} |", "| --- | ---: |"]
    lines += [f"| {name} | {value} |" for name, value in own.items()]
    if links:
        lines += ["", "Files: " + ", ".join(f"[{escape(name)}]({address})" for name, address in links.items())]
    return "\n".join([*lines, "", markdown(report), "", FOOTER])


def with_ours(body: str, ours: str) -> str:
    """The note `body` with our part in its place, or below all else where it has none yet."""
    marked = f"{BEGIN}\n\n{ours}\n\n{END}"
    begin = body.rfind(BEGIN, 0, max(body.rfind(END), 0))
    if begin == -1:  # or a person has deleted one of the marks: then nothing tells ours from theirs
        return f"{body.rstrip()}\n\n{marked}\n" if body.strip() else f"{marked}\n"
    end = body.index(END, begin) + len(END)
    return body[:begin] + marked + body[end:]
