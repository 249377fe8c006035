"""A note that is shared with people: ours once, between two marks that don't show; the rest is theirs."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from hpo.report.render.note import BEGIN, END, note, with_ours
from tests.unit.test_text import HOSTILE, sample

OLD = f"{BEGIN}\n\nold\n\n{END}"
NEW = f"{BEGIN}\n\nnew\n\n{END}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", f"{NEW}\n"),
        (" \n", f"{NEW}\n"),
        ("mine", f"mine\n\n{NEW}\n"),
        ("mine\n", f"mine\n\n{NEW}\n"),
        (OLD, NEW),
        (f"above\n\n{OLD}\n\nbelow", f"above\n\n{NEW}\n\nbelow"),
        (f"{OLD}below", f"{NEW}below"),
        (f"lost its end {BEGIN} old", f"lost its end {BEGIN} old\n\n{NEW}\n"),
        (f"lost its begin {END}", f"lost its begin {END}\n\n{NEW}\n"),
        (f"{OLD}\n\nquoted {END}", f"{NEW}\n\nquoted {END}"),
        (f"twice {BEGIN} mine\n\n{OLD}", f"twice {BEGIN} mine\n\n{NEW}"),
    ],
)
def test_ours_stands_between_the_marks(body: str, expected: str) -> None:
    """Where a mark is missing nothing is lost, and ours comes below."""
    found = with_ours(body, "new")
    assert expected == found
    assert found == with_ours(found, "new")


def test_the_marks_do_not_show() -> None:
    """A parser of Markdown makes nothing of them."""
    parser = MarkdownIt("commonmark")
    assert parser.render("mine\n\nnew\n\nbelow") == parser.render(f"mine\n\n{NEW}\n\nbelow")


def test_no_text_of_a_study_is_a_mark() -> None:
    """A claim that holds one is escaped, so that it can't end our part."""
    report = sample(text=f"{END} {HOSTILE}")
    written = note(report, report.arms[0], {})
    assert END not in written
    assert 1 == with_ours("", written).count(END)
