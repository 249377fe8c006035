"""docs/reference.md is what hpo.reference writes, and that leaves nothing out."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest
from pydantic import TypeAdapter

from hpo.cli import cli
from hpo.reference import SECTIONS, Section, _toml, kind_of, markdown, members
from hpo.reference.examples import example
from hpo.spec import Spec

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def specs(below: type[Spec] = Spec) -> Iterator[type[Spec]]:
    """The tables that can be written: every Spec of the package that is not the base of another."""
    for spec in below.__subclasses__():
        if spec.__module__.startswith("hpo.") and not spec.__subclasses__():
            yield spec
        yield from specs(spec)


def test_the_page_is_up_to_date() -> None:
    """The page in docs/ is the one that the present models give."""
    assert markdown() + "\n" == PAGE.read_text(), "accept the change with `make reference`, and read its diff"


def test_every_table_and_kind_has_its_place() -> None:
    """No model is forgotten, be it a table of the file or a kind in a union."""
    documented = [model for section in SECTIONS for model in members(section.form)]
    assert sorted(map(str, set(specs()))) == sorted(map(str, documented))


@pytest.mark.parametrize("section", [s for s in SECTIONS if len(members(s.form)) > 1], ids=lambda s: s.title)
def test_every_kind_has_a_heading(section: object) -> None:
    """A kind can be found by its name."""
    lines = markdown().splitlines()
    for model in members(section.form):
        assert f"### {section.title}: `{kind_of(model) or model.__name__.lower()}`" in lines


@pytest.mark.parametrize("spec", sorted(set(specs()), key=str), ids=lambda spec: f"{spec.__module__}.{spec.__name__}")
def test_every_model_and_field_says_what_it_means(spec: type[Spec]) -> None:
    """Each has a docstring; `kind` means what the model means."""
    assert spec.__doc__
    assert [] == [name for name, field in spec.model_fields.items() if name != "kind" and not field.description]


@pytest.mark.parametrize("section", [s for s in SECTIONS if len(members(s.form)) > 1], ids=lambda s: s.title)
def test_every_example_is_valid(section: Section) -> None:
    """What the page shows of a kind is that kind, with nothing that it does not know; each stands on the page."""
    for model in members(section.form):
        shown = example(model, _toml)
        read = TypeAdapter(section.form).validate_python(tomllib.loads(f"it = {shown}")["it"])
        assert type(read) is model
        assert f" = {shown}\n```" in markdown()


def test_types_and_defaults_in_words() -> None:
    """Bounds, lists, defaults and links, each as the page shows them."""
    shown = markdown()
    for row in (
        "| `epochs` | whole number, 1 to 100000 | required |",
        "| `momentum` | number, at least 0, below 1 | `0.9` |",
        "| `step` | number, above 0 | – |",
        "| `channels` | list of 3: whole number, 1 to 8192 | `[32, 64, 128]` |",
        '| `policy` | [a policy](#policies) | `{ kind = "hold" }` |',
        "| `every` | [a duration](#duration) | `{ epochs = 1 }` |",
        '| `sequence` | one of `"sobol"`, `"halton"` | `"sobol"` |',
        "| `values` | list or table, 1 to 256 entries | required |",
    ):
        assert row in shown


PREPOSITIONS = {"After", "As", "At", "Before", "Below", "Between", "By", "For", "From", "In", "Of", "On", "To", "With"}


@pytest.mark.parametrize("spec", sorted(set(specs()), key=str), ids=lambda spec: f"{spec.__module__}.{spec.__name__}")
def test_every_text_stands_alone(spec: type[Spec]) -> None:
    """Each says what it is about: it does not begin with a preposition, nor with what stands above it."""
    assert [] == fragments([spec.__doc__, *(field.description for field in spec.model_fields.values())])


def test_every_help_text_stands_alone() -> None:
    """As above, of every verb and option."""
    groups: list[click.Command] = [cli]
    texts: list[str | None] = []
    while groups:
        command = groups.pop()
        texts += [command.help, *(option.help for option in command.params if isinstance(option, click.Option))]
        groups += command.commands.values() if isinstance(command, click.Group) else []
    assert [] == fragments(texts)


def fragments(texts: Iterable[str | None]) -> list[str]:
    """Those that are part of a sentence which stands elsewhere."""
    return [text for text in texts if text and (text.split()[0] in PREPOSITIONS or text.startswith("The same"))]
