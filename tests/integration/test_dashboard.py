"""`hpo dashboard` as a process, and what is published into it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
import plotly.graph_objects as go
import pytest
from sqlalchemy import event, text

from benchmarks.large_study import NAME, fill, make_study
from hpo import service
from hpo.report.render.note import BEGIN, END
from hpo.report.render.publish import publish
from hpo.report.verdict.results import Report
from hpo.storage import Storage, create_storage, open_storage
from hpo.study import StudySpec
from tests.dashboard import SECONDS, Dashboard, running_dashboard
from tests.postgres import PostgresServer

ARM = f"{NAME}/arm1"
FIGURE = go.Figure(go.Scatter(x=[1, 2], y=[0.5, 0.9]))


@pytest.fixture
def filled(storage_url: str) -> Iterator[Storage]:
    """A storage with a study of two arms that is done, on each kind of database in turn."""
    storage = open_storage(storage_url)
    fill(storage, make_study(20, 3, 2))
    yield storage
    storage.close()


@pytest.fixture(scope="module")
def filled_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same in an SQLite file, for all tests of this module."""
    url = f"sqlite:///{tmp_path_factory.mktemp('dashboard')}/hpo.db"
    storage = create_storage(url)
    fill(storage, make_study(20, 3, 2))
    storage.close()
    return url


@pytest.fixture(scope="module")
def served(filled_url: str) -> Iterator[Dashboard]:
    """A dashboard that may be written to."""
    with running_dashboard(filled_url) as dashboard:
        yield dashboard


@pytest.fixture(scope="module")
def read_only(filled_url: str) -> Iterator[Dashboard]:
    """A dashboard that is only to be read."""
    with running_dashboard(filled_url, "--read-only") as dashboard:
        yield dashboard


def publish_again(storage: Storage, files: Sequence[Path] = (), artifacts: Path | None = None) -> None:
    """As `hpo report` does."""
    publish(storage, *reported(storage), {"curves": FIGURE}, files, artifacts)


def reported(storage: Storage) -> tuple[StudySpec, Report]:
    """The study, and what is to be said of it."""
    _, study = service.find_study(storage, NAME)
    return study, service.verdict(storage, NAME)


def attributes(storage: Storage) -> list[tuple[str, str]]:
    """Everything that is published in the database."""
    query = text("select study_id, key, value_json from study_system_attributes order by study_id, key")
    with storage.engine.connect() as connection:
        return [(row.key, row.value_json) for row in connection.execute(query)]


def study_id(dashboard: Dashboard, name: str = ARM) -> int:
    """Of an Optuna study."""
    studies = dashboard.ask("/api/studies").json["study_summaries"]
    return next(study["study_id"] for study in studies if study["study_name"] == name)


def test_pages(filled: Storage) -> None:
    """The page comes, and behind it all arms with their trials under dotted names."""
    with running_dashboard(filled.url.render_as_string(hide_password=False)) as dashboard:
        page = dashboard.ask("/dashboard")
        assert 200 == page.status
        assert b"<title>Optuna Dashboard</title>" in page.body
        names = [study["study_name"] for study in dashboard.ask("/api/studies").json["study_summaries"]]
        assert {f"{NAME}/{arm}{phase}" for arm in ("arm1", "arm2") for phase in ("", "/confirm")} == set(names)
        study = dashboard.ask(f"/api/studies/{study_id(dashboard)}").json
        assert 5 == len(study["trials"])
        assert {"lr.peak", "regularizers.l2.strength"} == {param["name"] for param in study["union_search_space"]}


@pytest.mark.parametrize("path", ["/dashboard", "/api/studies", "/static/bundle.js", "/favicon.ico", "/nowhere"])
def test_headers(served: Dashboard, path: str) -> None:
    """Every response tells the browser not to guess and not to be framed by others."""
    answer = served.ask(path, headers={"Accept-Encoding": "gzip"})
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert "SAMEORIGIN" == answer.headers["X-Frame-Options"]
    assert "no-referrer" == answer.headers["Referrer-Policy"]
    assert None is answer.headers["Access-Control-Allow-Origin"]


@pytest.mark.parametrize(
    ("host", "status"),
    {
        "127.0.0.1:{port}": 200,
        "localhost:{port}": 200,
        "LOCALHOST": 200,
        "localhost:9000": 200,  # a forwarded port
        "example.com": 403,
        "example.com:{port}": 403,
        "127.0.0.1.example.com": 403,
        "localhost@example.com": 403,
        "[::1": 403,
        "": 403,
    }.items(),
)
def test_host(served: Dashboard, host: str, status: int) -> None:
    """Only a request that names this machine is answered: a foreign page can't make its own name point here."""
    assert status == served.ask("/api/studies", headers={"Host": host.format(port=served.port)}).status


def test_writes_from_elsewhere(served: Dashboard) -> None:
    """A page of another site can't write, the dashboard's own can, and so can one behind a proxy's name."""
    path = f"/api/studies/{study_id(served)}/note"
    origins = {
        "http://example.com": ({}, 403),
        "null": ({}, 403),
        served.url: ({}, 204),
        "https://hpo.example.com": ({"X-Forwarded-Host": "hpo.example.com"}, 204),
    }
    version = 1
    for origin, (headers, status) in origins.items():
        answer = served.ask(path, "PUT", {"Origin": origin, **headers}, {"version": version, "body": origin})
        assert status == answer.status, origin
        version += status == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/1"),
        ("POST", "/api/studies"),
        ("POST", "/api/studies/1/rename"),
        ("PUT", "/api/studies/1/note"),
        ("POST", "/api/trials/1/tell"),
        ("POST", "/api/artifacts/1"),
        ("PATCH", "/api/studies/1"),
        ("OPTIONS", "/api/studies"),
        ("delete", "/api/studies/1"),
    ],
)
def test_read_only(read_only: Dashboard, method: str, path: str) -> None:
    """Every method but GET and HEAD is refused in words."""
    answer = read_only.ask(path, method, body={})
    assert (403, {"reason": "this dashboard is read-only"}) == (answer.status, answer.json)
    assert 200 == read_only.ask("/api/studies/1").status
    assert 200 == read_only.ask("/dashboard", "HEAD").status


def test_published_twice(filled: Storage, tmp_path: Path) -> None:
    """A note per arm, a figure per id and a file per name, however often; nothing of it names the storage."""
    report, folder = tmp_path / "report.html", tmp_path / "artifacts"
    report.write_text("<h1>one</h1>")
    publish_again(filled, [report], folder)
    first = attributes(filled)
    publish_again(filled, [report], folder)
    assert first == attributes(filled)
    (artifact,) = folder.iterdir()
    assert "<h1>one</h1>" == artifact.read_text()

    report.write_text("<h1>two</h1>")
    publish_again(filled, [report], folder)
    assert first == attributes(filled)
    assert [artifact] == list(folder.iterdir())
    assert "<h1>two</h1>" == artifact.read_text()

    secret = filled.url.password or str(filled.url.database)
    assert not [key for key, value in first if secret in value or "://" in value]
    with running_dashboard(filled.url.render_as_string(hide_password=False), f"--artifacts={folder}") as dashboard:
        for arm in ("arm1", "arm2"):
            study = dashboard.ask(f"/api/studies/{study_id(dashboard, f'{NAME}/{arm}')}").json
            assert 1 == study["note"]["version"]
            assert study["note"]["body"].startswith(f"{BEGIN}\n\n# {arm}\n")
            assert "[report.html](/artifacts/" in study["note"]["body"]
            assert ["curves"] == [figure["id"] for figure in study["plotly_graph_objects"]]
            assert (["report.html"] if arm == "arm1" else []) == [each["filename"] for each in study["artifacts"]]


def test_a_note_of_a_person(filled_url: str, served: Dashboard) -> None:
    """What people write above and below our part of a note stays, however often a report replaces that."""
    storage = open_storage(filled_url)
    path = f"/api/studies/{study_id(served, f'{NAME}/arm2')}"

    def written(body: str) -> str:
        """The note after a person has saved `body`, and a report has followed."""
        version = served.ask(path).json["note"]["version"] + 1
        assert 204 == served.ask(f"{path}/note", "PUT", body={"version": version, "body": body}).status
        publish_again(storage)
        return str(served.ask(path).json["note"]["body"])

    first = written("mine")
    assert first.startswith(f"mine\n\n{BEGIN}\n\n# arm2\n")
    assert first.endswith(f"{END}\n")
    assert f"{first}below" == written(f"{first}below")
    changed = first.replace("# arm2", "# of an earlier report")
    assert f"above{first}below" == written(f"above{changed}below")
    assert f"{first}below".replace("mine", "mine, too") == written(f"{first}below".replace("mine", "mine, too"))
    storage.close()


def test_who_may_only_read(filled_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing fails, and one line says that the dashboard shows nothing new."""
    storage, reading = open_storage(filled_url), open_storage(filled_url)
    event.listen(reading.engine, "connect", lambda driver, record: driver.execute("pragma query_only = on"))
    reading.close()  # the connection that it has was made without
    before = attributes(storage)
    publish(reading, *reported(storage), {"another": FIGURE})
    assert ["not shown in the dashboard: attempt to write a readonly database"] == caplog.messages
    assert before == attributes(storage)
    storage.close()
    reading.close()


def test_a_deleted_arm(filled: Storage) -> None:
    """Someone deletes an arm's study in the dashboard: the others are published all the same."""
    optuna.delete_study(study_name=ARM, storage=filled.optuna)
    publish_again(filled)
    other = optuna.load_study(study_name=f"{NAME}/arm2", storage=filled.optuna)
    assert "dashboard:note_ver" in filled.optuna.get_study_system_attrs(other._study_id)


def test_artifacts(filled_url: str, tmp_path: Path) -> None:
    """An uploaded page is shown in a sandbox; one that only another machine has is not found."""
    report, folder = tmp_path / "report.html", tmp_path / "artifacts"
    report.write_text("<script>alert(1)</script>")
    storage = open_storage(filled_url)
    publish_again(storage, [report], folder)
    storage.close()
    (artifact,) = folder.iterdir()
    with running_dashboard(filled_url, f"--artifacts={folder}") as dashboard:
        path = f"/artifacts/{study_id(dashboard)}/{artifact.name}"
        answer = dashboard.ask(path)
        assert (200, report.read_bytes()) == (answer.status, answer.body)
        policy = answer.headers.get_all("Content-Security-Policy", [])
        assert ["sandbox", "default-src 'none'"] == policy[0].split("; ")[:2]
        assert 1 == len(policy)
        assert "script-src" not in policy[0]
        assert "nosniff" == answer.headers["X-Content-Type-Options"]
        artifact.unlink()
        assert 404 == dashboard.ask(path).status


def test_an_uploaded_script_is_a_text(filled_url: str, tmp_path: Path) -> None:
    """A note may hold HTML, and the dashboard's own policy allows scripts of its own address."""
    script, folder = tmp_path / "script.js", tmp_path / "artifacts"
    script.write_text("alert(1)")
    storage = open_storage(filled_url)
    publish_again(storage, [script], folder)
    storage.close()
    (artifact,) = folder.iterdir()
    with running_dashboard(filled_url, f"--artifacts={folder}") as dashboard:
        answer = dashboard.ask(f"/artifacts/{study_id(dashboard)}/{artifact.name}")
        assert (200, b"alert(1)") == (answer.status, answer.body)
        assert ["text/plain; charset=utf-8"] == answer.headers.get_all("Content-Type")
        assert "nosniff" == answer.headers["X-Content-Type-Options"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(filled_url: str, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it well."""
    with running_dashboard(filled_url) as dashboard:
        dashboard.process.send_signal(number)
        assert 0 == dashboard.process.wait(SECONDS)
        assert dashboard.process.stderr is not None
        assert "" == dashboard.process.stderr.read()


def test_port_taken(served: Dashboard, filled_url: str) -> None:
    """A second one on the same port says so."""
    command = [sys.executable, "-m", "hpo", "dashboard", f"--storage={filled_url}", f"--port={served.port}"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert 2 == second.returncode
    assert f"error: port {served.port}: Address already in use\n" in second.stderr


def test_database_restarted(own_postgres: PostgresServer) -> None:
    """The first request after the database was away is answered."""
    storage = create_storage(own_postgres.url())
    fill(storage, make_study(20, 3, 2))
    storage.close()
    with running_dashboard(own_postgres.url()) as dashboard:
        before = dashboard.ask("/api/studies").json
        own_postgres.restart()
        assert before == dashboard.ask("/api/studies").json
