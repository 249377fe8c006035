"""Reports as text: they fit, say everything, and interpret nothing of what a user wrote."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO

import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from hpo.evidence.statistics import Paired, Summary
from hpo.report.render.text import configuration, markdown, terminal
from hpo.report.verdict.compare import compare
from hpo.report.verdict.efficiency import Audit, Efficiency, Step
from hpo.report.verdict.results import ArmResult, Comparison, Report
from hpo.report.verdict.selection import BestOf
from tests.unit.report_samples import cell, confirm, diverged, search, study

HOSTILE = "[red]a|b[/red] *c* `d` <e>\n# f \x1b[31m\x07 [g](h) \\|"


def sample(title: str = "A title", text: str = "ramp is better") -> Report:
    """Two arms, three confirm seeds of which one diverged."""
    spec = study(title=title, confirm={"seeds": 3}, claims=[{"text": text, "greater": {"arm": "ramp", "than": "grid"}}])
    cells = [search(arm, slot, 0.9 - slot / 10) for arm in ("grid", "ramp") for slot in range(3)]
    cells += [confirm("grid", seed, 0.91, 0.9 + seed / 100) for seed in range(3)]
    cells += [confirm("ramp", seed, 0.95, 0.94) for seed in range(2)] + [diverged("ramp", 2)]
    return compare(spec, cells)


def shown(report: Report, width: int = 80) -> str:
    console = Console(width=width, record=True, file=StringIO(), color_system=None)
    console.print(terminal(report))
    return console.export_text()


def renamed(report: Report, name: str) -> Report:
    return replace(report, arms=(report.arms[0], replace(report.arms[1], name=name)))


def widest(arm: ArmResult) -> ArmResult:
    """The same arm with the longest numbers there can be."""
    search = replace(arm.search, epochs=1_000_000)
    comparison = Comparison(Paired(3, -1.0, -1.0, 1.0, 0.0001, 0.5), (-1.0, -1.0), 0.0001, 0.0001, -1000.0)
    bests = tuple(BestOf(4**power, 4**power * 1000.0, 1.0) for power in range(7))
    step = Step(1_000_000, 1e6, 1.0)
    efficiency = Efficiency((step,), step, 1.0, 1_000_000, Audit(1000, 1000, 0.0, 1.0))
    best = Summary(1000, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0)
    return replace(
        arm,
        tried=10_000,
        search=search,
        expected_best=bests,
        efficiency=efficiency,
        comparison=comparison,
        test=best,
        bootstrap=(-1.0, -1.0),
    )


def published_sample(arm: str = "ramp", where: str = "table 2") -> Report:
    """One number that was measured, one that wasn't, and trials on two kinds of device."""
    rows = [
        {"arm": "ramp", "value": 0.95, "where": where},
        {"arm": "ramp", "params": {"lr.peak": 0.3}, "metric": "test_loss", "value": 0.5, "where": where},
    ]
    cells = [search(name, slot, 0.9 - slot / 10, worker=name) for name in ("grid", "ramp") for slot in range(3)]
    cells += [confirm(name, seed, 0.91, 0.9 + seed / 100) for name in ("grid", "ramp") for seed in range(3)]
    report = compare(study(confirm={"seeds": 3}, published=rows), cells, devices={"grid": "CPU", "ramp": "GPU"})
    return replace(report, published=tuple(replace(row, arm=arm) for row in report.published))


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    "report",
    [
        sample(),
        sample(title="long " * 60, text="x" * 500),
        sample(title=HOSTILE, text=HOSTILE),
        renamed(sample(), "a" * 64),
        replace(sample(), arms=tuple(widest(arm) for arm in renamed(sample(), "b" * 64).arms)),
        compare(study(confirm={"seeds": 2}), []),
        published_sample(),
        published_sample(arm="c" * 64, where="w" * 200),
    ],
    ids=["plain", "long", "hostile", "long name", "large numbers", "empty", "published", "long published"],
)
def test_the_terminal_text_fits_80_columns(report: Report) -> None:
    """No line is longer, and no number is cut short."""
    text = shown(report)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_the_terminal_text_says_everything() -> None:
    """Rules before the verdict, the verdict before the table, and what was chosen and spent."""
    text = shown(sample())
    parts = [
        "sample: A title",
        "- Search:",
        "UNDECIDED: ramp is better",
        "ramp - grid",
        "± 2.48",
        "Compute: equal",
        "Test accuracy over seeds",
        "Differences to grid",
        "Expected search best",
        "Efficiency of the search",
        "lr.peak = 0.1",
    ]
    assert sorted(parts, key=text.index) == parts
    for part in ("91.00", "± 2.48", "66.67", "baseline", "-25.00", "+ 6", "search 3 finished"):
        assert part in text
    assert "ramp: search 3 finished; confirm 2 finished, 1 diverged; test loss 0.0600 (2 seeds)" in words(text)
    assert "ramp: confirm phase, 1 of 3 trials diverged" in text


def test_an_unfinished_report_says_so_on_top() -> None:
    """Before anything else, in both forms; its claims are provisional."""
    report = compare(
        study(confirm={"seeds": 2}, claims=[{"text": "t", "greater": {"arm": "ramp", "than": "grid"}}]),
        [cell("grid", "search", 0, state="planned")],
    )
    assert shown(report).startswith("UNFINISHED")
    assert "grid: search phase, 1 of 1 trial not done yet" in shown(report)
    assert "UNDECIDED SO FAR: t" in shown(report)
    assert "**Unfinished**" == markdown(report).splitlines()[2].partition(":")[0]
    assert "**undecided so far**: t" in markdown(report)


def test_markup_of_rich_is_not_interpreted() -> None:
    """Brackets come out as they were written, and control characters as something that shows."""
    text = shown(sample(title=HOSTILE, text=HOSTILE))
    assert 2 == words(text).count("[red]a|b[/red] *c* `d` <e> # f ␛[31m␇ [g](h) \\|")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)


def test_published_numbers_stand_beside_the_measured_ones() -> None:
    """With difference and interval, or with the reason why nothing was measured; a mixture of devices is a warning."""
    for text in (words(shown(published_sample(), width=200)), words(markdown(published_sample()).replace("|", " "))):
        assert "ramp, test accuracy, table 2 95.00 91.00 ± 2.48 (n = 3) -4.00 yes" in text
        assert "ramp (lr.peak = 0.3), test loss, table 2 0.5000 only confirmed configurations are scored on" in text
        assert "Different kinds of device: search phase 3 on CPU, 3 on GPU." in text


def test_markdown_is_a_document_with_tables() -> None:
    """A Markdown parser finds the headings and a table with a cell for every column of every arm."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown(sample()))
    kinds = [token.type for token in tokens]
    headings = [tokens[i + 1].content for i, kind in enumerate(kinds) if kind == "heading_open"]
    further = ["Test accuracy over seeds", "Differences to grid", "Expected search best of n trials"]
    further += ["Efficiency of the search", "Configurations", "grid", "ramp", "Rules"]
    assert ["sample: A title", "Claims", "Arms", *further] == headings
    columns = 8
    widths = [columns, 6, 2, 4, 5]
    assert (5, sum(widths)) == (kinds.count("table_open"), kinds.count("th_open"))
    assert 2 * sum(widths) - 2 == kinds.count("td_open")  # the baseline isn't compared with itself
    row = [tokens[i + 1].content for i, kind in enumerate(kinds) if kind == "td_open"][columns:]
    assert ["ramp", "3", "90.00", "66.67 ± 121.91", "66.00 ± 120.47"] == row[:5]
    assert ["3", "6 + 6"] == row[6:columns]
    assert ["lr.peak = 0.1\n"] * 2 == [token.content for token in tokens if token.type == "fence"]


def test_markdown_in_titles_and_claims_is_not_interpreted() -> None:
    """A parser reads back exactly the text that was given, on one line, as text alone."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown(sample(title=HOSTILE, text=HOSTILE)))
    heading = tokens[1]
    written = "[red]a|b[/red] *c* `d` <e> # f ␛[31m␇ [g](h) \\|"
    assert heading.children is not None
    assert {"text", "text_special"} >= {child.type for child in heading.children}
    assert f"sample: {written}" == "".join(child.content for child in heading.children)
    assert 5 == sum(token.type == "table_open" for token in tokens)
    assert 11 == sum(token.type == "heading_open" for token in tokens)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (1e-05, "x.y = 1e-05"),
        (True, "x.y = true"),
        ('a"b', 'x.y = "a\\"b"'),
        ([1, [2.5]], "x.y = [1, [2.5]]"),
        ({"kind": "sgd", "a b": 0.9}, 'x.y = { kind = "sgd", "a b" = 0.9 }'),
    ],
)
def test_configurations_are_written_as_in_a_study_file(value: object, line: str) -> None:
    """Numbers in full, so that a configuration can be copied back."""
    assert [line] == configuration(replace(sample().arms[0], configuration={"x.y": value}))


def test_configurations_that_are_none() -> None:
    """Nothing searched, and nothing finished."""
    arm = sample().arms[0]
    assert ["# nothing searched: the arm's own trial"] == configuration(replace(arm, configuration={}))
    assert ["# no configuration has finished"] == configuration(replace(arm, configuration=None))
