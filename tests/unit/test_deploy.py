"""What is shipped in deploy/ is whole: its files, commands and exit codes are those that are named."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from hpo.cli import cli
from hpo.errors import UserError, WorkLeft
from tests.compose import DEPLOY, service

KUBERNETES = DEPLOY / "kubernetes"
KUSTOMIZATIONS = sorted(file.parent for file in KUBERNETES.rglob("kustomization.yaml"))
UNIT = (DEPLOY / "systemd" / "hpo-worker@.service").read_text()
PASSWORDS = dict.fromkeys(["POSTGRES_PASSWORD", "WORKER_PASSWORD", "EDITOR_PASSWORD", "DASHBOARD_PASSWORD"], "x")
SERVICES = ("tables", "dashboard", "worker-cpu", "worker-gpu")


def name(path: Path) -> str:
    return str(path.relative_to(KUBERNETES))


def manifest(kind: str) -> Any:
    return yaml.safe_load((KUBERNETES / kind / "workers.yaml").read_text())["spec"]


def setting(key: str) -> str:
    """What the unit of systemd says of a key that stands there once."""
    [value] = re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


def instruction(pattern: str) -> list[str]:
    """A command of the Dockerfile, in the form that needs no shell."""
    [words] = re.findall(rf"^{pattern} (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    found: list[str] = yaml.safe_load(words)
    return found


def commands() -> dict[str, list[str]]:
    """What the shipped files run of ours, by where it stands, without the name of the program."""
    found = {name: service(name, PASSWORDS).command for name in SERVICES}
    found["image"] = instruction("CMD")
    found["image's health"] = instruction("HEALTHCHECK .* CMD")
    found["systemd"] = shlex.split(setting("ExecStart"))
    for kind in ("deployment", "job"):
        [container] = manifest(kind)["template"]["spec"]["containers"]
        found[kind] = container["args"]
        found[f"{kind}'s health"] = container["readinessProbe"]["exec"]["command"]
    return {place: words[Path(words[0]).name == "hpo" :] for place, words in found.items()}


@pytest.mark.parametrize("place", commands())
def test_commands_and_options_exist(place: str) -> None:
    """click itself reads the line; nothing is run."""
    command: click.Command = cli
    context, words = cli.make_context("hpo", [], resilient_parsing=True), commands()[place]
    while isinstance(command, click.Group):
        verb, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = command.make_context(
            verb, list(words), parent=context, resilient_parsing=isinstance(found, click.Group)
        )


def test_exit_codes() -> None:
    """What a person must mend is not tried again; a pod that was asked to stop is neither done nor a failure."""
    codes = {
        code: rule["action"]
        for rule in manifest("job")["podFailurePolicy"]["rules"]
        for code in rule.get("onExitCodes", {}).get("values", [])
    }
    assert {UserError.exit_code: "FailJob", WorkLeft.exit_code: "Ignore"} == codes
    assert str(UserError.exit_code) == setting("RestartPreventExitStatus")
    assert "on-failure" == setting("Restart")


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=name)
def test_what_a_kustomization_is_made_of(folder: Path) -> None:
    """All of it is there; and where there is a kubectl, it makes manifests of it."""
    text = yaml.safe_load((folder / "kustomization.yaml").read_text())
    parts = [*text.get("resources", []), *text.get("components", [])]
    for part in parts:
        assert (folder / part).is_file() or (folder / part / "kustomization.yaml").is_file(), part
    if text["kind"] == "Component" or shutil.which("kubectl") is None:
        return
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert 0 == built.returncode, built.stderr
    [container] = yaml.safe_load(built.stdout)["spec"]["template"]["spec"]["containers"]
    assert "../../components/gpu" not in parts or 1 == container["resources"]["limits"]["nvidia.com/gpu"]
    assert "../../components/data" not in parts or "/data" in [
        mount["mountPath"] for mount in container["volumeMounts"]
    ]


def test_settings_of_compose() -> None:
    """The example names every setting that the file asks for; those that are required it leaves empty."""
    asked = dict(re.findall(r"\$\{(\w+):([-?])", (DEPLOY / "compose.yaml").read_text()))
    example = (DEPLOY / "compose.env.example").read_text()
    named = dict(re.findall(r"^#?(\w+)=(.*)$", example, re.MULTILINE))
    assert set(asked) == set(named)
    assert {name for name, kind in asked.items() if kind == "?"} == set(PASSWORDS)
    assert {""} == {named[name] for name in PASSWORDS}
