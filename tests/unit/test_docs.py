"""The documentation keeps its word: links lead somewhere, commands and options exist, study files are valid."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hpo import DISTRIBUTION
from hpo.cli import cli
from hpo.study.file import parse

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ANOTHER_AUTHORS = re.compile(r"(?<![\w.-])hpo\[[a-z]|pip install(?: --?[\w-]+)* ['\"]?hpo(?![\w-])")
SETTING = re.compile(r"[A-Z][A-Z0-9_]*=\S*")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What can stand behind # in a link to the page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `hpo …` command line in a shell block."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        while words and SETTING.fullmatch(words[0]):
            del words[0]
        if words and words[0].rpartition("/")[2] == "hpo":
            yield words[1:]


def blocks(*languages: str) -> list[tuple[Path, str]]:
    return [
        (page, text) for page in PAGES for language, text in FENCE.findall(page.read_text()) if language in languages
    ]


COMMANDS = [(page, words) for page, text in blocks("sh", "bash", "console") for words in commands(text)]
STUDIES = [(page, text) for page, text in blocks("toml") if "name =" in text and "[trial]" in text]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    """The file exists, and the heading in it."""
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=name)
def test_the_readme_leads_to_every_page(page: Path) -> None:
    """No page in docs/ is hidden."""
    assert name(page) in LINK.findall((ROOT / "README.md").read_text())


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=[f"{name(page)}: hpo {' '.join(words)}" for page, words in COMMANDS]
)
def test_commands_and_options_exist(page: Path, words: list[str]) -> None:
    """click itself reads the line, with every value as it is documented; nothing is run."""
    context = cli.make_context("hpo", list(words), resilient_parsing=True)
    command: click.Command | None = cli
    while isinstance(command, click.Group):
        verb, command, words = command.resolve_command(context, words)
        assert isinstance(command, click.Command)
        context = command.make_context(
            verb, list(words), parent=context, resilient_parsing=isinstance(command, click.Group)
        )


@pytest.mark.parametrize(("page", "text"), STUDIES, ids=[name(page) for page, _ in STUDIES])
def test_study_files_are_valid(page: Path, text: str) -> None:
    """A study file that a page shows as a whole can be copied from it."""
    parse(tomllib.loads(text))


def test_nobody_is_sent_to_another_authors_package() -> None:
    """`hpo` on the package index is something else: what is installed has the name that pyproject.toml gives it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert DISTRIBUTION == project["name"]
    shipped = [*ROOT.glob("hpo/**/*.py"), *ROOT.glob("deploy/**/*"), *ROOT.glob("studies/**/*.md")]
    texts = [path.read_text() for path in [*PAGES, *shipped, ROOT / "pyproject.toml"] if path.is_file()]
    assert [] == [found.group() for text in texts for found in ANOTHER_AUTHORS.finditer(text)]
    named = {extra for text in texts for extra in re.findall(rf"{DISTRIBUTION}\[([a-z]+)\]", text)}
    assert {"notebook", "parquet"} <= named <= set(project["optional-dependencies"])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("pip install hpo", True),
        ("pip install --upgrade 'hpo'", True),
        ("pip install 'hpo[notebook]'", True),
        ('"hpo[test]"', True),
        (f"pip install '{DISTRIBUTION}[notebook]'", False),
        ("pip install --no-deps .", False),
    ],
)
def test_another_authors_package_would_be_found(text: str, wrong: bool) -> None:
    """By its name behind `pip install`, or before an extra."""
    assert wrong == bool(ANOTHER_AUTHORS.search(text))


def test_there_is_something_to_check() -> None:
    """The patterns above find what the pages hold."""
    assert {"README.md", "docs/workers.md", "docs/storage.md"} <= {name(page) for page, _ in COMMANDS}
    assert {"README.md", "docs/own-training.md", "docs/study-files.md", "docs/writing-a-study.md"} == {
        name(page) for page, _ in STUDIES
    }
