"""Several studies reported at once: an index of their verdicts, and a folder for each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.large_study import fill, make_study
from hpo.cli import cli
from hpo.storage import create_storage


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A storage with two studies that are done."""
    address = f"sqlite:///{tmp_path_factory.mktemp('studies')}/hpo.db"
    storage = create_storage(address)
    for name, title in (("one", "Is <b>one</b> better?"), ("two", "")):
        fill(storage, make_study(20, 3, 2).model_copy(update={"name": name, "title": title}))
    storage.close()
    return address


def run(url: str, *arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(cli, arguments, env={"HPO_STORAGE": url})


def test_an_index_leads_to_each_page(url: str, tmp_path: Path) -> None:
    """Question, verdict and claims of each, in the order that was asked for; a study named twice is there once."""
    result = run(url, "report", "two", "one", "two", "-o", str(tmp_path), "--no-publish")
    assert 0 == result.exit_code, result.output
    assert f"wrote {tmp_path}/index.html" in result.stderr
    index = (tmp_path / "index.html").read_text()
    links = re.findall(r'<a href="([^"]*)">([^<]*)</a>', index)
    assert [("two/two.html", "two"), ("one/one.html", "Is &lt;b&gt;one&lt;/b&gt; better?")] == links
    assert all((tmp_path / link).exists() and (tmp_path / link).with_name("trials.csv").exists() for link, _ in links)
    answers = re.findall(r'<p class="answer">([^<]*)</p>', index)
    pages = [re.findall(r'<p class="answer">([^<]*)</p>', (tmp_path / link).read_text()) for link, _ in links]
    assert [[answer] for answer in answers] == pages
    assert 2 == index.count("arm2 is better than arm1</li>")
    assert "<script" not in index


def test_one_study_has_no_index(url: str, tmp_path: Path) -> None:
    """Its files lie in the folder itself."""
    result = run(url, "report", "one", "-o", str(tmp_path), "--no-publish")
    assert 0 == result.exit_code, result.output
    assert (tmp_path / "one.html").exists() and not (tmp_path / "index.html").exists()


def test_all_of_them_are_printed(url: str) -> None:
    """One after the other, in either form; one that is not there is an error before anything is printed."""
    shown = run(url, "report", "one", "two", "--format", "markdown").stdout
    assert ["# one: Is \\<b\\>one\\</b\\> better?", "# two"] == re.findall(r"^# .*$", shown, re.MULTILINE)
    missing = run(url, "report", "one", "three")
    assert 2 == missing.exit_code and "three" in missing.stderr and not missing.stdout


def test_no_study_is_a_mistake(url: str) -> None:
    """One has to be named."""
    assert 2 == run(url, "report").exit_code
