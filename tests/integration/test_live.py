"""Pages of studies as they run: what is served, to whom, and how often a study is looked at for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from sqlalchemy import update

from benchmarks.large_study import NAME, fill, make_study
from hpo.report.render.html import hashed
from hpo.service import begin_study
from hpo.storage import Storage, create_storage, open_storage, tables
from hpo.watch.live import LivePages
from tests.dashboard import Dashboard, running_dashboard
from tests.integration.helpers import make_study as small_study

HOSTILE = "<script>alert(1)</script> \u202etxet"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard of a study that is done."""
    url = f"sqlite:///{tmp_path_factory.mktemp('live')}/hpo.db"
    storage = create_storage(url)
    fill(storage, make_study(20, 3, 2))
    storage.close()
    with running_dashboard(url) as dashboard:
        yield dashboard


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    """An open storage on each kind of database, with a study of which nothing is done."""
    opened = open_storage(storage_url)
    begin_study(opened, small_study())
    yield opened
    opened.close()


@pytest.mark.parametrize("path", ["/live", f"/live/{NAME}", f"/live/{NAME}.json", "/live/none"])
def test_headers(served: Dashboard, path: str) -> None:
    """Those of the dashboard, and a policy that allows nothing but the page's own style and script."""
    answer = served.ask(path)
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert "SAMEORIGIN" == answer.headers["X-Frame-Options"]
    assert "no-store" == answer.headers["Cache-Control"]
    [policy] = answer.headers.get_all("Content-Security-Policy", [])
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_the_page(served: Dashboard) -> None:
    """Its policy names the style and the script that it has, and nothing in it leads elsewhere."""
    answer = served.ask(f"/live/{NAME}")
    page = answer.body.decode()
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    for own in (style, script):
        assert hashed(own) in answer.headers["Content-Security-Policy"]
    assert {"/live", "/dashboard"} == set(re.findall(r'(?:href|src)="([^"]*)"', page))
    assert {"http://www.w3.org/2000/svg"} == set(re.findall(r"https?://[^\s\"']+", page))


def test_what_the_page_shows(served: Dashboard) -> None:
    """A study that is over has its arms with their curves, and no claim that leans."""
    said = served.ask(f"/live/{NAME}.json").json
    assert (NAME, "finished", True, []) == (said["name"], said["state"], said["isOver"], said["claims"])
    assert said["done"] == said["total"] > 0
    assert ["arm1", "arm2"] == [arm["name"] for arm in said["arms"]]
    assert [3, 3] == [len(arm["curve"]) for arm in said["arms"]]
    assert re.fullmatch(
        r"Its validation accuracy: [\d.]+ after the first epoch, [\d.]+ after 3 epochs", said["arms"][0]["curveInWords"]
    )


def test_the_list_of_studies(served: Dashboard) -> None:
    """Each leads to its page."""
    assert f'<a href="/live/{NAME}">{NAME}</a>: finished' in served.ask("/live").body.decode()


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/live/none", "GET", {}, 404),
        ("/live/none.json", "GET", {}, 404),
        ("/live/%3Cscript%3E", "GET", {}, 404),
        (f"/live/{NAME}", "POST", {}, 405),
        (f"/live/{NAME}.json", "DELETE", {}, 405),
        (f"/live/{NAME}", "GET", {"Host": "example.com"}, 403),
        (f"/live/{NAME}", "HEAD", {}, 200),
        ("/liver", "GET", {}, 404),
    ],
)
def test_who_is_refused(served: Dashboard, path: str, method: str, headers: dict[str, str], status: int) -> None:
    """Who asks for what is not there, wants to write, or comes under another name."""
    answer = served.ask(path, method, headers)
    assert status == answer.status
    assert method != "HEAD" or answer.body == b""


def test_texts_of_others(storage: Storage) -> None:
    """A name that another program has given a study is text, on the list, on the page and in what it shows."""
    with storage.engine.begin() as connection:
        connection.execute(update(tables.study).values(name=HOSTILE))
    pages = LivePages(storage)
    path = "/live/" + HOSTILE.encode().decode("latin-1")  # as WSGI has it
    for text in (pages.answer("GET", "/live").body, pages.answer("GET", path).body):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "\u202e" not in text
    assert "\u202e" not in json.loads(pages.answer("GET", f"{path}.json").body)["doing"]


def test_a_study_is_looked_at_once_a_second(storage: Storage) -> None:
    """However often it is asked for."""
    now = [10.0]
    pages = LivePages(storage, lambda: now[0])

    def doing() -> str:
        answer = pages.answer("GET", "/live/digits.json")
        assert HTTPStatus.OK == answer.status
        return str(json.loads(answer.body)["doing"])

    first = doing()
    storage.ledger.register("w", "host", 1, "CPU", {})
    assert first == doing()
    now[0] += 1.0
    assert first != doing()


def test_the_database_is_away(storage: Storage) -> None:
    """The page is told so, without the statement that failed."""
    pages = LivePages(storage)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("alter table hpo_study rename to elsewhere")
    for path in ("/live", "/live/digits", "/live/digits.json"):
        answer = pages.answer("GET", path)
        assert HTTPStatus.SERVICE_UNAVAILABLE == answer.status
        assert "hpo_study" in answer.body
        assert "select" not in answer.body.lower()
