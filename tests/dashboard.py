"""A dashboard for tests: the real command in a process of its own, or its application in the test's."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Any
from wsgiref.util import setup_testing_defaults

from hpo.storage import Storage
from hpo.watch.dashboard import application

SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says to a request."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A running `hpo dashboard`."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", headers: Mapping[str, str] = {}, body: object = None) -> Answer:
        """One request, as a program without a browser sends it."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        content = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), {**content, **headers})
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer


class Application:
    """The dashboard's application, as `hpo dashboard` serves it, asked without a server."""

    def __init__(self, storage: Storage) -> None:
        self._serve = application(storage)

    def ask(self, path: str, method: str = "GET", body: object = None) -> Answer:
        """One request."""
        content = b"" if body is None else json.dumps(body).encode()
        environment: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "HTTP_HOST": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(content)),
            "wsgi.input": io.BytesIO(content),
        }
        setup_testing_defaults(environment)
        status: list[str] = []
        parts = self._serve(environment, lambda said, headers, *error: status.append(said))
        return Answer(int(status[-1].split()[0]), HTTPMessage(), b"".join(parts))

    def study_id(self, name: str) -> int:
        """Optuna's id of a study."""
        studies = self.ask("/api/studies").json["study_summaries"]
        return next(int(study["study_id"]) for study in studies if study["study_name"] == name)


@contextmanager
def running_dashboard(storage: str, *options: str) -> Iterator[Dashboard]:
    """`hpo dashboard` with these options, ended at the end."""
    port = free_port()
    command = [sys.executable, "-m", "hpo", "dashboard", f"--port={port}", *options]
    environment = os.environ | {"HPO_STORAGE": storage}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            assert f"http://127.0.0.1:{port}/dashboard  (Ctrl-C ends)\n" == process.stderr.readline()
            assert f"http://127.0.0.1:{port}/live  shows studies as they run\n" == process.stderr.readline()
            yield Dashboard(process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
