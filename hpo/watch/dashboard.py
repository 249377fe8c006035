"""optuna-dashboard on one of our storages, and pages of studies as they run, for this machine only: there is no login.

Around its WSGI application stands a guard: requests under a foreign host name are refused (a page elsewhere can point
its own name at 127.0.0.1), as are writes that come from another site, and in read-only mode all writes. What was
uploaded (an HTML page, an SVG) is shown in a sandbox: nothing in it can run scripts or read the dashboard, and a script
is a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Event, Thread
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard
from bottle import HTTPError
from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from hpo.errors import UserError
from hpo.storage import Storage
from hpo.watch.live import with_live_pages

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""What this machine may be called in a request; any port, for one may be forwarded (ssh -L)."""
READING = ("GET", "HEAD")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every response."""
SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; font-src data:"
"""The content policy of artifacts: images and styles, no scripts, no forms, an origin of its own."""


class _Artifacts(FileSystemArtifactStore):
    """A folder of artifacts; one that another machine has uploaded into its own folder is not found here."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        try:
            return super().open_reader(artifact_id)
        except ArtifactNotFound:
            raise HTTPError(404, "this artifact is not in the artifact folder of this dashboard") from None


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


def serve(
    storage: Storage,
    port: int,
    ready: Callable[[str], None],
    interrupted: Event,
    *,
    read_only: bool = False,
    artifacts: Path | None = None,
) -> None:
    """Serve until `interrupted` is set; `ready` gets the server's address once the port listens.

    Optuna's storage keeps finished trials in memory, which cuts a page at 10,000 trials from ten seconds to a third
    of one.

    Raises:
        UserError: the port is taken.
    """
    app = application(storage, read_only, artifacts)
    try:
        server = make_server(HOST, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise UserError(f"port {port}: {error.strerror}", hint="choose another port with --port") from None
    with server:
        Thread(target=server.serve_forever, daemon=True).start()
        ready(f"http://{HOST}:{server.server_port}")
        interrupted.wait()
        server.shutdown()


def application(storage: Storage, read_only: bool = False, artifacts: Path | None = None) -> WSGIApplication:
    """Optuna's dashboard of the storage, and pages of its studies as they run, guarded."""
    store = _Artifacts(artifacts) if artifacts is not None else None
    app = optuna_dashboard.wsgi(storage.optuna, store)
    replaced = Event()
    storage.optuna.when_replaced = replaced.set

    def up_to_date(environment: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # It remembers studies by their ids, which SQLite gives again.
        if replaced.is_set():
            replaced.clear()
            app._inmemory_cache.clear()
        answer: Iterable[bytes] = app(environment, start_response)
        return answer

    return guarded(with_live_pages(up_to_date, storage), read_only)


def guarded(app: WSGIApplication, read_only: bool = False) -> WSGIApplication:
    """`app` behind the checks and with the headers named above."""

    def application(environment: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_artifact = environment["PATH_INFO"].startswith("/artifacts/")
        ours = HEADERS | ({"Content-Security-Policy": SANDBOX} if is_artifact else {})
        hidden = {name.lower() for name in ours} | {"access-control-allow-origin"}

        def start(status: str, headers: list[tuple[str, str]], *error: object) -> Callable[[bytes], object]:
            kept = [(name, value) for name, value in headers if name.lower() not in hidden]
            if is_artifact:
                kept = [(name, _no_script(name, value)) for name, value in kept]
            return start_response(status, [*kept, *ours.items()], *error)  # type: ignore[arg-type]

        reason = _refusal(environment, read_only)
        if not reason:
            return app(environment, start)
        body = json.dumps({"reason": reason}).encode()
        start("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return application


def _no_script(name: str, value: str) -> str:
    """A header of an artifact. The dashboard's own policy lets scripts of its address run: none may be uploaded."""
    is_script = name.lower() == "content-type" and "script" in value.lower()
    return "text/plain; charset=utf-8" if is_script else value


def _refusal(environment: WSGIEnvironment, read_only: bool) -> str:
    """Why a request is refused; empty if it is not."""
    host = environment.get("HTTP_HOST", "")
    if _name(f"//{host}") not in NAMES:
        return f"this is not {' or '.join(NAMES)}"
    if environment["REQUEST_METHOD"] in READING:
        return ""
    if read_only:
        return "this dashboard is read-only"
    # Behind a proxy the browser knows the dashboard by the proxy's name, and by that one only. A foreign page can't
    # claim to be that name: a browser sends such a header for it only if an OPTIONS request was allowed, which is none
    # of the methods above, and a proxy replaces what it was sent.
    name = environment.get("HTTP_X_FORWARDED_HOST", host)
    origin = environment.get("HTTP_ORIGIN")
    if origin is not None and origin.partition("://")[2] != name:
        return "this request comes from another site"
    return ""


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
