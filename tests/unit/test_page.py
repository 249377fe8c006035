"""The page of a report: whole, in order, by itself, and nothing that a user wrote is markup."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser

from hpo.report.figures import figures
from hpo.report.render.context import context
from hpo.report.render.page import page
from hpo.report.verdict.compare import compare
from hpo.storage.rows import WorkerRow
from hpo.study import StudySpec
from tests.unit import report_samples
from tests.unit.figure_samples import reported, row, study, workers

HOSTILE = "<script>alert('x')</script> & \"quoted\" <img src=http://example.org/x>"
VOID = {"meta", "br", "wbr", "img", "link", "hr", "input", "use"}
REFERENCES = {"src", "href", "xlink:href", "action", "data", "poster", "srcset"}


class Reader(HTMLParser):
    """What a page is made of; fails on elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.references += [value or "" for name, value in attrs if name in REFERENCES]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert tag == self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def page_of(spec: StudySpec) -> str:
    spec, cells, points, report, where = reported(spec)
    return page(report, figures(spec, cells, points, report), where)


@cache
def whole() -> str:
    return page_of(study())


def test_the_page_is_whole_and_in_order() -> None:
    """Verdict with its figure, other figures, numbers, rules, and what it takes to repeat it; every id once."""
    read = Reader(whole())
    assert len(read.ids) == len(set(read.ids))
    order = ["verdict", "figure-standing", "figures", "figure-learning-curves", "numbers", "arms", "rules", "repeat"]
    assert order == [id for id in read.ids if id in order]
    assert read.tags.count("figure") == 9 == read.tags.count("figcaption")
    assert read.tags.count("table") == read.tags.count("caption") >= 2
    assert [1, 1] == [read.tags.count("h1"), read.tags.count("main")]
    assert {reference.removeprefix("#") for reference in read.references if reference} <= set(read.ids)


def finished() -> str:
    """The page of a study that has come to its end."""
    claims = [{"text": "ramp is better", "greater": {"arm": "ramp", "than": "grid"}}]
    spec = report_samples.study(title="Is it better?", confirm={"seeds": 3}, claims=claims)
    cells = [report_samples.search(arm, slot, 0.9, worker="w1") for arm in ("grid", "ramp") for slot in range(3)]
    cells += [report_samples.confirm("grid", seed, 0.9, 0.9) for seed in range(3)]
    cells += [report_samples.confirm("ramp", seed, 0.9, 0.91 + seed / 100) for seed in range(3)]
    report = compare(spec, cells)
    return page(report, figures(spec, cells, [], report), context(spec, row(spec), cells, workers()))


def test_the_verdict_comes_first() -> None:
    """In a sentence, before any number; then what was measured, what it rests on, and all else."""
    words = Reader(finished()).words
    parts = [
        "Is it better?",
        "It is not decided whether ramp is better.",
        "The test accuracy of ramp is 2.00 points higher than that of grid",
        "Where the arms stand",
        "Rests on 3 seeds of each arm, 1 search of each, 6 configurations tried in all. Compute: equal",
        "On CPU (x86_64).",
        "What the search phase found",
        "Accuracies in percent",
        "Search : an arm's best configuration",
        "To repeat this Seeds",
    ]
    places = [words.index(part) for part in parts]
    assert sorted(places) == places


def test_configurations_stand_side_by_side() -> None:
    """Only where they differ, to three digits, with all of them on request."""
    text = whole()
    [table] = re.findall(r'<caption id="configurations">.*?</table>', text, re.DOTALL)
    words = Reader(f"<table>{table}").words
    assert "regularizers. l2. strength" in words and "regularizers. l2. policy. direction" in words
    assert "learning" not in words and "batch_size" not in words
    assert '<span title="0.05623413251903491">0.0562</span>' in table
    assert "regularizers.l2.strength = 0.05623413251903491" in text, "to the last digit"


def test_words_lead_to_the_rules_that_explain_them() -> None:
    """The verdict of a claim, and an interval where it is first spoken of."""
    text = finished()
    ids = {about: id for id, about in re.findall(r'<li id="(rule-\d)"><strong>(\w+)', text)}
    assert f'<a href="#{ids["Claims"]}">undecided</a>' in text
    assert f'<a href="#{ids["Intervals"]}">95 % confidence</a>' in text


def test_the_page_says_what_it_takes_to_repeat_the_study() -> None:
    """Study file, seeds, versions and devices of the workers that ran it, commands."""
    words = Reader(whole()).words
    for expected in (
        "hpo launch-study moving.toml",
        "search: 0",
        "confirm: 1000-1002",
        "1 worker: CPU (x86_64), hpo 0.1.0, torch 2.15.0, threads 1",
        "f1nger",
        'search."regularizers.l2.policy.direction" = { values = ["up", "down"] }',
    ):
        assert expected in words


def test_the_page_needs_nothing_else() -> None:
    """No address of anything outside, and a policy that allows none; two scripts, which it names."""
    text = whole()
    read = Reader(text)
    assert not {"link", "img", "iframe", "object"} & set(read.tags)
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    [packed] = re.findall(r'id="plotly">(.*?)</script>', text, re.DOTALL)
    run = [script.encode(), gzip.decompress(b64decode(packed))]
    hashes = [f"'sha256-{b64encode(sha256(each).digest()).decode()}'" for each in run]
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src {' '.join(hashes)}" in text
    assert all(reference.startswith("#") for reference in read.references)
    assert not re.search(r"url\((?!#)|@import|https?:", text)
    assert not re.search(r"\son\w+=", text)


def test_what_a_user_wrote_is_text() -> None:
    """A title, a claim and a searched value that are markup come out as they were written."""
    spec = study(title=HOSTILE, claim=HOSTILE)
    text = page_of(spec)
    read = Reader(text)
    assert read.tags.count("script") == 4 and "img" not in read.tags
    assert read.words.count(" ".join(HOSTILE.split())) >= 3
    assert f"<title>{HOSTILE[:1]}" not in text


def test_figures_answer_with_what_was_measured() -> None:
    """The data that the script draws: each panel, in the page's colours, and trials by what they are called."""
    text = whole()
    data, names = (
        json.loads(re.findall(rf'id="{id}">(.*?)</script>', text, re.DOTALL)[0])
        for id in ("figures-data", "figures-names")
    )
    assert len(re.findall('class="panel"', text)) == sum(map(len, data.values()))
    every_trial = data["accuracy-by-epochs-spent"][3]["data"][0]
    assert "var(--arm-0)" == every_trial["marker"]["color"]
    assert re.fullmatch(
        r"trial \d+, seed 0<br>l2.strength = 0<br>model.hidden = \[8\]<br>validation accuracy 70.00 %",
        names[every_trial["text"][0]],
    )
    assert len(names) == len(set(names))


def test_every_figure_is_said_in_words() -> None:
    """What stands where, for whoever can't see it; the figure leads there."""
    text = whole()
    for id in re.findall(r'<figure id="figure-([^"]*)"', text):
        assert f'aria-describedby="{id}-words"' in text and f'<div id="{id}-words">' in text
    words = Reader(text).words
    assert "Test accuracy, grid: 80 from 75.03 to 84.97" in words
    assert "Validation accuracy, grid: from 20.25 at epoch 1 to 81 at epoch 4, lowest 20.25, highest 81" in words


def test_an_unfinished_study_has_a_page() -> None:
    """That says so first, and has no figures."""
    spec = study()
    text = page(compare(spec, []), [], context(spec, row(spec), [], []))
    assert text.index("Unfinished") < text.index('id="verdict"')
    assert "figure" not in Reader(text).tags


def test_workers_that_differ_are_pointed_out() -> None:
    """By what results depend on, among those that ran trials of the study."""
    spec, cells, *_ = reported()

    def with_torch(name: str, version: str) -> WorkerRow:
        known = workers()[0]
        return replace(known, id=name, environment={**known.environment, "torch": version})

    same = [with_torch("w1", "2.15.0"), with_torch("w2", "2.15.0"), with_torch("other", "2.6.0")]
    cells = [replace(cell, worker="w2") if cell.slot == 1 else cell for cell in cells]
    assert not context(spec, row(spec), cells, same).mixed
    found = context(spec, row(spec), cells, [*same[:1], with_torch("w2", "2.6.0")])
    assert found.mixed and len(found.machines) == 2


def test_the_same_report_is_the_same_page() -> None:
    """Byte by byte."""
    spec, cells, points, report, where = reported()
    made = [page(report, figures(spec, cells, points, report), where) for _ in range(2)]
    assert made[0] == made[1]
