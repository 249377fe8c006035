"""deploy/compose.yaml as compose reads it, so that tests run what its services run, on a real server."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

from hpo.cli import cli
from tests.postgres import PostgresServer, find_binaries

DEPLOY = Path(__file__).parents[1] / "deploy"
VARIABLE = re.compile(r"\$\{(\w+):([-?])([^}]*)\}")
"""`${NAME:-default}`, or `${NAME:?message}` for one that must be set."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a service runs, and in which environment."""

    command: list[str]
    environment: dict[str, str]
    volumes: list[str]


def service(name: str, settings: Mapping[str, str]) -> Service:
    """The service, with the settings of the env file; KeyError for one that is required and missing."""

    def value(match: re.Match[str]) -> str:
        name, kind, default = match.groups()
        return settings[name] if kind == "?" else settings.get(name, default)

    text = VARIABLE.sub(value, (DEPLOY / "compose.yaml").read_text())
    found = yaml.safe_load(text)["services"][name]
    return Service(found.get("command", []), found["environment"], found.get("volumes", []))


class Composed:
    """A server in place of the service `db`, and what the others run on it."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.settings = {
            "POSTGRES_PASSWORD": server.password,
            "WORKER_PASSWORD": "of-the-worker",
            "EDITOR_PASSWORD": "it's the editor's",
            "DASHBOARD_PASSWORD": "of-a-person",
            "DASHBOARD_VIEWER_PASSWORD": "of-a-guest",
        }

    def command(self, name: str) -> list[str]:
        """Of a service."""
        return service(name, self.settings).command

    def environment(self, name: str) -> dict[str, str]:
        """That of a service, with the address of this server for its name in compose's network."""
        found = service(name, self.settings).environment
        storage = found.get("HPO_STORAGE", "").replace("@db/", f"@127.0.0.1:{self.server.port}/")
        return found | {"HPO_STORAGE": storage, "PGHOST": "127.0.0.1", "PGPORT": str(self.server.port)}

    def hpo(self, name: str, *words: str) -> Result:
        """The image's command in a service; its own arguments, if no others are given."""
        return CliRunner().invoke(cli, words or self.command(name), env=self.environment(name))

    def give_rights(self) -> subprocess.CompletedProcess[str]:
        """What the service `roles` runs."""
        assert ["./postgres:/sql:ro"] == service("roles", self.settings).volumes
        psql, *arguments = self.command("roles")
        return subprocess.run(
            [find_binaries() / psql, *(word.replace("/sql/", f"{DEPLOY}/postgres/") for word in arguments)],
            env=os.environ | self.environment("roles"),
            capture_output=True,
            text=True,
            check=False,
        )
