"""What the launchers would run or submit, as text, beside the text that was accepted before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpo.cli import cli
from hpo.launch import kubernetes, local, slurm, ssh
from hpo.launch.kubernetes import Pods
from hpo.launch.order import Order
from hpo.launch.slurm import Job

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "launch"
BASE = ROOT / "deploy" / "kubernetes"
URL = "postgresql://me:s3cret@db.example.org/studies"
SHOWN = {"HPO_STORAGE": "postgresql+psycopg2://me:***@db.example.org/studies"}
ONE = Order(("quickstart",))
MANY = Order(("first", "second one"), 2, ("--lease=30", "--forever"))

TEXTS: dict[Path, Callable[[], str]] = {
    GOLDEN / "local-cpu.sh": lambda: local.text(ONE, local.tasks(ONE, "auto", [])),
    GOLDEN / "local-gpus.sh": lambda: local.text(MANY, local.tasks(MANY, "auto", ["0", "GPU-8932f937"])),
    GOLDEN / "ssh-start.sh": lambda: ssh.start_script(MANY, SHOWN | {"PGPASSWORD": "it's"}, "/opt/hpo/bin/hpo"),
    GOLDEN / "ssh-stop.sh": lambda: ssh.stop_script(60.0),
    GOLDEN / "slurm-cpu.sh": lambda: slurm.script(ONE, Job(), ["hpo"]),
    GOLDEN / "slurm-gpus.sh": lambda: slurm.script(
        MANY, Job(8, 4, "gpu", "08:00:00", 300, "logs/%A_%a.log", ("--account=vision", "--mem=64G")), ["hpo"]
    ),
    GOLDEN / "kubernetes-job.yaml": lambda: kubernetes.manifest(
        ONE, Pods("registry.example.org/hpo:1", "quickstart", 3, 2, "16Gi", "images", "quickstart-storage")
    ),
    GOLDEN / "kubernetes-secret.yaml": lambda: kubernetes.secret(SHOWN, Pods("hpo:latest")),
    BASE / "deployment" / "workers.yaml": lambda: kubernetes.manifest(
        Order(options=("--forever",)), Pods("hpo:latest")
    ),
    BASE / "job" / "workers.yaml": lambda: kubernetes.manifest(Order(), Pods("hpo:latest")),
}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_as_accepted(path: Path) -> None:
    """To accept a change: ACCEPT=1 .venv/bin/pytest tests/unit/test_launch.py, and read the diff."""
    text = TEXTS[path]()
    if os.environ.get("ACCEPT"):
        path.write_text(text)
    assert path.read_text() == text, test_as_accepted.__doc__
    if path.suffix == ".sh":
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("0,1", ["0", "1"]), ("GPU-1, MIG-2", ["GPU-1", "MIG-2"]), ("", []), ("-1", []), ("NoDevFiles", [])],
)
def test_the_gpus_that_are_visible(visible: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As CUDA_VISIBLE_DEVICES names them, which Slurm and others set."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert expected == local.gpus()
    assert len(expected) == local.visible_gpus()


def test_the_gpus_that_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions of a GPU are not GPUs."""
    lister = tmp_path / "nvidia-smi"
    lister.write_text("#!/bin/sh\necho 'GPU 0: A'\necho '  MIG 1g: (UUID: MIG-1)'\necho 'GPU 1: A'\n")
    lister.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert ["0", "1"] == local.gpus()


def test_a_file_of_hosts() -> None:
    """One a line, with comments."""
    assert ["n1", "me@n2"] == ssh.hosts_of("# ours\nn1\n\n  me@n2  # borrowed\n")


DRY = [
    ["ssh", "--host", "n1"],
    ["slurm", "--gpus", "2"],
    ["kubernetes", "--image", "hpo:1"],
    ["local"],
]


@pytest.mark.parametrize("arguments", DRY, ids=lambda arguments: arguments[0])
def test_a_dry_run_shows_no_password(arguments: list[str]) -> None:
    """It prints what would be submitted, *** in place of what is secret, and touches nothing."""
    command = ["start-workers", *arguments, "quickstart", "--dry-run"]
    environment = {"HPO_STORAGE": URL, "PGPASSWORD": "s3cret", "HPO_CHECKPOINTS": "s3://key:s3cret@bucket"}
    done = CliRunner().invoke(cli, command, env=environment)
    assert done.exit_code == 0, done.output
    assert "quickstart" in done.stdout
    assert "s3cret" not in done.output
    assert arguments[0] == "local" or "***" in done.output


def test_a_host_that_answers_in_another_encoding(tmp_path: Path) -> None:
    """What can't be read of it is replaced, and what acts on a terminal shows."""
    client = tmp_path / "client"
    client.write_text("#!/bin/sh\ncat > /dev/null; printf 'h\\374he\\033[2J'\n")
    client.chmod(0o755)
    command = ["stop-workers", "--host", "n1", "--ssh", str(client)]
    assert "n1: h�he␛[2J\n" == CliRunner().invoke(cli, command).stderr


def test_a_file_of_hosts_with_a_mark(tmp_path: Path) -> None:
    """Some editors put a byte order mark first."""
    (tmp_path / "hosts").write_bytes(b"\xef\xbb\xbfn1\r\nn2\r\n")
    command = ["start-workers", "ssh", "--hosts", str(tmp_path / "hosts"), "--dry-run"]
    assert "on each of n1, n2: " in CliRunner().invoke(cli, command, env={"HPO_STORAGE": URL}).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ssh"], "no host is given"),
        (["ssh", "--hosts", "/no/such/file"], "give a text file with a host a line"),
        (["ssh", "--host", "-oProxyCommand=evil"], "is no host"),
        (["ssh", "--host", "n1", "--env", "NOT_SET_ANYWHERE"], "this variable is not set here"),
        (["ssh", "--host", "n1", "--ssh", "no-such-program"], "install an ssh client"),
        (["slurm", "--storage", "sqlite:///hpo.db"], "SQLite is for one machine"),
        (["kubernetes", "--image", "hpo", "--name", "a b"], "allowed is at most 52 of a-z"),
        (["kubernetes", "--image", "hpo", "--kubectl", "no-such-program"], "install kubectl"),
    ],
)
def test_bad_input(arguments: list[str], words: str) -> None:
    """One message and exit code 2."""
    done = CliRunner().invoke(cli, ["start-workers", *arguments], env={"HPO_STORAGE": URL})
    assert 2 == done.exit_code, done.output
    assert words in done.output
