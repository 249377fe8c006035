"""deploy/proxy: the dashboard from elsewhere, through a real nginx with the files that compose gives it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.service import begin_study
from hpo.storage import create_storage
from tests.compose import service
from tests.dashboard import Dashboard, running_dashboard
from tests.integration.helpers import make_study
from tests.machine import open_folder, require
from tests.proxy import Proxy, environment, prepare, running_proxy

SETTINGS = {
    "POSTGRES_PASSWORD": "unused",
    "WORKER_PASSWORD": "unused",
    "EDITOR_PASSWORD": "unused",
    "DASHBOARD_PASSWORD": "open sesame",
    "DASHBOARD_VIEWER_PASSWORD": "have-a-look",
}
ADMIN, VIEWER = "admin:open sesame", "viewer:have-a-look"
NAME = "hpo.example.com"


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """With a study, and with the options that the service `dashboard` gives it."""
    assert ["dashboard", "--port=8080"] == service("dashboard", SETTINGS).command
    url = f"sqlite:///{tmp_path_factory.mktemp('proxy')}/hpo.db"
    storage = create_storage(url)
    begin_study(storage, make_study())
    storage.close()
    with running_dashboard(url) as dashboard:
        yield dashboard


@pytest.fixture(scope="module", params=["http", "https"])
def proxy(request: pytest.FixtureRequest, dashboard: Dashboard) -> Iterator[Proxy]:
    """In front of it, without and with a certificate."""
    require("nginx", "openssl", packages="nginx openssl", root=False)
    with open_folder() as folder:
        if request.param == "https":
            make_certificate(folder / "tls")
        with running_proxy(folder, dashboard.port, service("proxy", SETTINGS).environment) as proxy:
            assert request.param == proxy.scheme
            yield proxy


def make_certificate(folder: Path) -> None:
    """Of the proxy's name, signed by nobody."""
    folder.mkdir()
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "server.key"]
    command = ["openssl", "req", "-x509", *key, *names, "-days", "2", "-out", "server.crt"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def note(proxy: Proxy, login: str | None = ADMIN, **headers: str) -> int:
    """The status of an attempt to write a note to a study; what was written is replaced by the next."""
    study = json.loads(proxy.ask("/api/studies", login=ADMIN).body)["study_summaries"][0]["study_id"]
    version = json.loads(proxy.ask(f"/api/studies/{study}", login=ADMIN).body)["note"]["version"]
    body = json.dumps({"body": "mine", "version": version + 1}).encode()
    return proxy.ask(f"/api/studies/{study}/note", "PUT", login, body=body, **headers).status


@pytest.mark.parametrize("host", [NAME, "192.0.2.7", "127.0.0.1", "localhost"])
def test_by_any_name(proxy: Proxy, host: str) -> None:
    """The name of the machine, its address, the end of a tunnel: the page comes, and its first address leads to it."""
    assert 200 == proxy.ask("/dashboard", login=ADMIN, host=host).status
    assert 200 == proxy.ask("/api/studies", login=VIEWER, host=host).status
    answer = proxy.ask("/", login=ADMIN, host=host)
    assert (302, f"{proxy.scheme}://{host}:{proxy.port}/dashboard") == (answer.status, answer.headers["Location"])


@pytest.mark.parametrize("login", [None, "admin:wrong", "viewer:open sesame", "nobody:open sesame", "admin:"])
def test_without_the_password(proxy: Proxy, login: str | None) -> None:
    """Nothing is shown, and nothing is written."""
    assert 401 == proxy.ask("/dashboard", login=login).status
    assert 401 == proxy.ask("/api/studies", login=login).status
    assert note(proxy, login, Origin=f"{proxy.scheme}://{NAME}:{proxy.port}") in (401, 403)


def test_who_may_write(proxy: Proxy) -> None:
    """`admin` may, from the dashboard's own page and from a program; `viewer` may not."""
    own = f"{proxy.scheme}://{NAME}:{proxy.port}"
    assert 204 == note(proxy, Origin=own)
    assert 204 == note(proxy)
    assert 403 == note(proxy, VIEWER, Origin=own)
    assert 403 == note(proxy, VIEWER)


@pytest.mark.parametrize(
    "origin", ["https://example.org", "null", "http://127.0.0.1", "http://127.0.0.1:8080", "http://localhost", NAME]
)
def test_a_page_of_another_site(proxy: Proxy, origin: str) -> None:
    """It can't write with the password that a browser keeps, whatever it claims and wherever it was served from."""
    assert 403 == note(proxy, Origin=origin)
    assert 403 == note(proxy, Origin=origin, X_Forwarded_Host=origin.rpartition("/")[2])
    asked = {"Access_Control_Request_Method": "PUT", "Access_Control_Request_Headers": "x-forwarded-host"}
    answer = proxy.ask("/api/studies", "OPTIONS", ADMIN, Origin=origin, **asked)
    assert 403 == answer.status
    assert not [name for name in answer.headers if name.lower().startswith("access-control-allow")]


def test_not_past_the_proxy(dashboard: Dashboard) -> None:
    """The dashboard itself answers to this machine's name alone, also if it is told of another one."""
    headers = {"Host": NAME, "X-Forwarded-Host": "127.0.0.1"}
    assert 403 == dashboard.ask("/api/studies", headers=headers).status


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("DASHBOARD_PASSWORD", "a:b", "password of admin has a colon"),
        ("DASHBOARD_VIEWER_PASSWORD", "a:b", "password of viewer has a colon"),
        ("DASHBOARD_ADDRESS", "0.0.0.0", "without server.crt in DASHBOARD_TLS"),
        ("DASHBOARD_PASSWORD", "", "DASHBOARD_PASSWORD"),
    ],
)
def test_what_it_does_not_start_with(tmp_path: Path, setting: str, value: str, words: str) -> None:
    """A password that would count in part, and one that would travel in the clear."""
    settings = service("proxy", SETTINGS).environment | {setting: value}
    command = prepare(tmp_path, 0, 0)
    done = subprocess.run(command, env=environment(settings), capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert words in done.stderr
    assert "a:b" not in done.stderr
