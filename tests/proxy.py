"""deploy/proxy for tests: the shipped files with a real nginx, on a free port and in a folder of their own."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

from tests.compose import DEPLOY
from tests.dashboard import SECONDS, Answer, free_port
from tests.integration.helpers import wait_until
from tests.machine import SYSTEM


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy."""

    port: int
    scheme: str

    def connection(self) -> HTTPConnection:
        """A new one, which doesn't ask whose certificate it is."""
        if self.scheme == "http":
            return HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        context = ssl._create_unverified_context()
        return HTTPSConnection("127.0.0.1", self.port, timeout=SECONDS, context=context)

    def ask(
        self,
        path: str,
        method: str = "GET",
        login: str | None = None,
        host: str = "hpo.example.com",
        body: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """One request by the name `host`, with `login` as USER:PASSWORD; `_` in a header's name stands for `-`."""
        sent = {"Host": f"{host}:{self.port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if login is not None:
            sent["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = self.connection()
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def answers(self) -> bool:
        """Whether it listens by now."""
        try:
            return self.ask("/").status == 401
        except OSError:
            return False


def prepare(folder: Path, port: int, dashboard: int) -> list[str]:
    """The shipped files in `folder`, with the ports and places of this machine; returns the service's command."""
    ours = {
        "/tmp/": f"{folder}/",
        "/etc/hpo/": f"{folder}/",
        "/tls/": f"{folder}/tls/",
        "listen 8443": f"listen 127.0.0.1:{port}",
        "127.0.0.1:8080": f"127.0.0.1:{dashboard}",
        "user nginx": "user www-data",
        "chown nginx": "chown www-data",
    }
    theirs = re.compile("|".join(map(re.escape, ours)))
    found: set[str] = set()
    for name in ("start.sh", "nginx.conf"):
        text = (DEPLOY / "proxy" / name).read_text()
        found |= set(theirs.findall(text))
        (folder / name).write_text(theirs.sub(lambda match: ours[match.group()], text))
    assert set(ours) == found
    return ["sh", f"{folder}/start.sh"]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The service's, with daemons on the path."""
    return {"PATH": f"{os.environ['PATH']}:{SYSTEM}", **settings}


@contextmanager
def running_proxy(folder: Path, dashboard: int, settings: Mapping[str, str]) -> Iterator[Proxy]:
    """The proxy before a dashboard on port `dashboard`; with TLS if `folder` has a certificate."""
    port = free_port()
    command = prepare(folder, port, dashboard)
    proxy = Proxy(port, "https" if (folder / "tls" / "server.crt").exists() else "http")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(settings))
    try:
        wait_until(lambda: process.poll() is not None or proxy.answers())
        assert process.poll() is None, (folder / "log").read_text()
        yield proxy
    finally:
        process.terminate()
        process.wait(SECONDS)
