"""The terminal: what is shown does nothing, and numbers are whole however narrow it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from hpo import cli
from hpo.cli.console import Console
from hpo.report.render.plan_summary import plan_summary
from hpo.report.render.screen import one_screen
from hpo.report.render.text import terminal
from hpo.storage import open_storage
from hpo.storage.rows import ArmProgress, WorkerRow
from hpo.trainers.images.reported import OBJECTIVE
from hpo.watch import nodes, progress
from hpo.words.visible import visible
from tests.unit.figure_samples import workers
from tests.unit.report_samples import study
from tests.unit.test_remaining import counts
from tests.unit.test_text import published_sample, renamed, sample

WIDTHS = (24, 40, 60, 80)


def shown(renderable: RenderableType, width: int = 80) -> str:
    """What comes out on a terminal of this width that knows no colours."""
    file = StringIO()
    Console(file=file, width=width, color_system=None).print(renderable)
    return file.getvalue()


def numbers(text: str) -> Counter[str]:
    """Everything between two spaces that has a digit."""
    return Counter(re.findall(r"\S*\d\S*", text))


def table(*rows: Iterable[str]) -> Table:
    """A name that may be folded, a word, a number, and two numbers one above the other."""
    made = Table(box=None, pad_edge=False)
    made.add_column("name", overflow="fold")
    made.add_column("what")
    made.add_column("number", justify="right")
    made.add_column("mean", justify="right", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


@pytest.mark.parametrize(
    "text",
    ["\x1b]52;c;ZXZpbA==\x07", "\x1b[2J", "\u202etxet", "gr\u200bid", "\x9b2J"],
    ids=["clipboard", "clear", "bidi", "zero width", "C1"],
)
@pytest.mark.parametrize("place", [str, Text, lambda text: table((text, "", "1", "")), lambda text: Table(text)])
def test_nothing_that_is_shown_acts(text: str, place: Callable[[str], RenderableType]) -> None:
    """A string, a text, a cell and the head of a table."""
    said = shown(place(f"a{text}b"))
    assert visible(said) == said
    assert "a" in said and "b" in said


def test_a_text_keeps_its_styles() -> None:
    """They lie where they lay, on the characters that replace others."""
    file = StringIO()
    text = Text("a\x1bb").append("c", style="bold")
    Console(file=file, force_terminal=True, color_system="standard", no_color=False).print(text)
    assert "a␛b\x1b[1mc\x1b[0m\n" == file.getvalue()


def test_markup_is_text() -> None:
    """Brackets, emoji and numbers are as they were written."""
    assert "[bold]x[/bold] [link=http://x]y[/link] :smile: 1\n" == shown(
        "[bold]x[/bold] [link=http://x]y[/link] :smile: 1"
    )


def test_a_table_that_has_room_is_as_it_was() -> None:
    """Not one space is another."""
    assert "name  what  number  mean\na     b          1     2\n" == shown(table(("a", "b", "1", "2")), 40)


def test_a_table_folds_its_texts_first() -> None:
    """The names, and numbers only between two of them."""
    said = shown(table(("abcdefghijklmnopqrstuvwxyz", "b", "[-1.52, +0.07]", "2")), 40)
    first, second, third = said.splitlines()[:3]
    assert ["name", "what", "number", "mean"] == first.split()
    assert ["abcdefghijkl", "b", "[-1.52,", "+0.07]", "2"] == second.split()
    assert ["mnopqrstuvwx"] == third.split()


def test_a_table_without_room_is_stacked() -> None:
    """The name, and below it a line for each of the others that has something to say."""
    said = shown(table(("grid", "b", "[-34.24, +40.09]", "45.66\n± 178.68"), ("other", "", "1", "")), 24)
    lines = [line.rstrip() for line in said.splitlines()]
    assert [
        "grid",
        "  what    b",
        "  number  [-34.24,",
        "          +40.09]",
        "  mean    45.66 ± 178.68",
        "other",
    ] == lines[:6]
    assert ["  number  1"] == lines[6:]


def arms() -> list[ArmProgress]:
    """Two phases of an arm, with the numbers of a large study."""
    large = {"planned": 10, "leased": 2, "done": 9988, "failed": 3, "seeds": 5, "best": 0.9549}
    return [counts("direction", phase, **large) for phase in ("search", "confirm")]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "view",
    [
        lambda: terminal(sample()),
        lambda: terminal(published_sample()),
        lambda: terminal(renamed(sample(), "b" * 64)),
        lambda: one_screen(sample()),
        lambda: one_screen(renamed(sample(), "b" * 64)),
        lambda: plan_summary(study(confirm={"seeds": 3})),
    ],
    ids=["report", "published", "long name", "one screen", "its long name", "check"],
)
def test_no_number_is_cut(view: Callable[[], RenderableType], width: int) -> None:
    """What is shown on a narrow terminal has the numbers of a wide one, each of them whole, and fits."""
    narrow = shown(view(), width)
    assert "…" not in narrow
    assert not numbers(shown(view(), 400)) - numbers(narrow)
    assert max(map(cell_len, narrow.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_of_the_progress_is_cut(width: int) -> None:
    """`hpo status` and the live table: where there is no room, the numbers of an arm stand below its name."""
    narrow = shown(progress.table(arms(), OBJECTIVE), width)
    assert "…" not in narrow
    assert (2, 2) == (narrow.count("9988/10003"), narrow.count("95.49"))


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_of_a_worker_is_cut(sqlite_url: str, width: int) -> None:
    """`hpo nodes` on a narrow terminal."""
    storage = open_storage(sqlite_url)
    known: list[WorkerRow] = workers()
    narrow = shown(nodes.table(storage, known), width)
    assert not numbers(shown(nodes.table(storage, known), 400)) - numbers(narrow)
    storage.close()


def test_no_verb_speaks_past_it() -> None:
    """What is written with click, print or the streams would reach the terminal as it is."""
    past = re.compile(r"click\.(echo|secho)\(|(?<![.\w])print\(|std(out|err)\.write\(")
    found = {path.name: past.findall(path.read_text()) for path in Path(cli.__file__).parent.glob("*.py")}
    assert len(found) > 5
    assert {"streams.py"} == {name for name, calls in found.items() if calls}
