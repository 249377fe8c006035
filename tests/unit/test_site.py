"""The documentation as a site: all pages are in it, in an order to read them, and it needs no network."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.test_docs import LINK, anchors, name

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "studies", "examples", "benchmarks")
PAGES = {
    name(page) for page in [*ROOT.glob("*.md"), *(page for top in FOLDERS for page in ROOT.glob(f"{top}/**/*.md"))]
}
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def _hook() -> ModuleType:
    [path] = CONFIG["hooks"]
    spec = importlib.util.spec_from_file_location("documentation_site", ROOT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


site = _hook()
NAVIGATION = list(site.pages(CONFIG["nav"]))


def test_every_page_is_in_the_navigation_once() -> None:
    """Those of the repository and no others."""
    assert sorted(PAGES) == sorted(NAVIGATION)


def test_a_reader_meets_the_guides_first() -> None:
    """What it is, how to ask, how to run, what it answered; then all fields, and then the code."""
    order = ["README.md", "docs/study-files.md", "docs/reference.md", "docs/workers.md", "docs/results.md"]
    order += ["studies/README.md", "docs/architecture.md", "CHANGELOG.md"]
    assert order == sorted(order, key=NAVIGATION.index)


@pytest.mark.parametrize("page", NAVIGATION)
def test_links_lead_somewhere_on_the_site(page: str) -> None:
    """To another page of it, a file that is copied, or a folder, of which the name alone is shown."""
    for target in LINK.findall((ROOT / page).read_text()):
        path = os.path.normpath(os.path.join(os.path.dirname(page), target.partition("#")[0]))
        if ":" not in target and not target.startswith("#") and not (ROOT / path).is_dir():
            assert path in {*NAVIGATION, *site.linked(page)}, target


@pytest.mark.parametrize("page", NAVIGATION)
def test_anchors_are_those_of_the_repository(page: str) -> None:
    """A heading is found under the same name here and there."""
    headings = [line.lstrip("#").strip() for line in (ROOT / page).read_text().splitlines() if line.startswith("#")]
    assert anchors(ROOT / page) <= {site.anchor(heading, "-") for heading in headings}


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<script src="https://cdn.example.org/x.js">', ["https://cdn.example.org/x.js"]),
        ('<script defer src="//cdn.example.org/x.js">', ["//cdn.example.org/x.js"]),
        ('<link rel="stylesheet" href="https://example.org/x.css">', ["https://example.org/x.css"]),
        ('<link href="https://example.org/x.css" rel="stylesheet">', ["https://example.org/x.css"]),
        ("<img src=https://example.org/x.png>", ["https://example.org/x.png"]),
        ('<a href="https://example.org/">there</a><link rel="canonical" href="https://example.org/">', []),
        ('<script src="../assets/x.js"></script><img src="x.svg">', []),
    ],
)
def test_what_would_be_loaded_is_seen(html: str, expected: list[str]) -> None:
    """Scripts, styles and pictures; a link loads nothing."""
    assert expected == site.loaded(html)


def test_the_theme_brings_what_it_needs() -> None:
    """Its fonts and its worker for the search would come from the network."""
    assert CONFIG["theme"]["font"] is False
    [shim] = CONFIG["extra"]["polyfills"]
    assert "iframe-worker" in shim
    assert (ROOT / shim).is_file()


def test_what_builds_it_is_pinned() -> None:
    """It is installed by `make docs` alone, with the versions that it was tried with."""
    wanted = [Requirement(line) for line in (ROOT / "docs/requirements.txt").read_text().split()]
    pinned = {canonicalize_name(pin.name): pin.specifier for pin in map(Requirement, _pins())}
    assert wanted
    for each in wanted:
        [version] = pinned[canonicalize_name(each.name)]
        assert each.specifier.contains(version.version)


def _pins() -> list[str]:
    return (ROOT / "constraints.txt").read_text().split()
