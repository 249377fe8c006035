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
from hpo.launch.request import WorkerRequest
from hpo.launch.slurm import Job
from hpo.launch.ssh import start_script, stop_script
from hpo.process.gpus import Gpus
from tests.nvidia import DIVIDED, NvidiaSmi

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "launch"
BASE = ROOT / "deploy" / "kubernetes"
URL = "postgresql://me:s3cret@db.example.org/studies"
SHOWN = {"HPO_STORAGE": "postgresql+psycopg2://me:***@db.example.org/studies"}
ONE = WorkerRequest(("quickstart",))
MANY = WorkerRequest(("first", "second one"), 2, options=("--lease=30", "--forever"))

TEXTS: dict[Path, Callable[[], str]] = {
    GOLDEN / "local-cpu.sh": lambda: local.text(ONE.studies, local.placements("auto", [])),
    GOLDEN / "local-gpus.sh": lambda: local.text(
        MANY.studies, local.placements("auto", ["0", "GPU-8932f937"], MANY.options, per_device=MANY.per_device)
    ),
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
        WorkerRequest(options=("--forever",)), Pods("hpo:latest")
    ),
    BASE / "job" / "workers.yaml": lambda: kubernetes.manifest(WorkerRequest(), Pods("hpo:latest")),
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
    ("device", "gpus", "workers", "expected"),
    [
        ("auto", [], None, [("--device=auto", None)]),
        ("auto", [], 2, [("--device=auto", None)] * 2),
        ("cuda:1", [], None, [("--device=cuda:1", None)]),
        ("auto", ["GPU-a", "MIG-b"], None, [("--device=cuda", "GPU-a"), ("--device=cuda", "MIG-b")]),
        ("auto", ["0", "1"], 3, [("--device=cuda", "0"), ("--device=cuda", "1"), ("--device=cuda", "0")]),
        ("auto", ["0", "1"], 0, []),
    ],
)
def test_who_gets_which_device(
    device: str, gpus: list[str], workers: int | None, expected: list[tuple[str, str | None]]
) -> None:
    """Each worker sees one GPU, or what was named; so for every launcher of this machine."""
    placed = local.placements(device, gpus, ["--lease=30"], workers)
    assert [((option, "--lease=30"), gpu) for option, gpu in expected] == [(one.options, one.gpu) for one in placed]
    assert [{} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu} for _, gpu in expected] == [
        one.environment() for one in placed
    ]


def dry_run() -> list[str]:
    """The workers that would be started here, one a line."""
    done = CliRunner().invoke(cli, ["start-workers", "local", "--dry-run"], env={"HPO_STORAGE": URL})
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def test_an_instance_of_a_divided_gpu_is_a_device(nvidia_smi: NvidiaSmi) -> None:
    """A worker for each, and none for the divided GPU as a whole."""
    nvidia_smi.lists(DIVIDED)
    assert [
        "CUDA_VISIBLE_DEVICES=MIG-33333333-aaaa-bbbb-cccc-000000000003 hpo worker --device=cuda",
        "CUDA_VISIBLE_DEVICES=MIG-44444444-aaaa-bbbb-cccc-000000000004 hpo worker --device=cuda",
        "CUDA_VISIBLE_DEVICES=GPU-22222222-aaaa-bbbb-cccc-000000000002 hpo worker --device=cuda",
    ] == dry_run()


def test_several_devices_for_each_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many in a row, what is left over is idle; too few are told, and both ways at once."""
    assert ["0,1", "2,3"] == local.together(Gpus(("0", "1", "2", "3", "4")), 2)
    assert [(("--device=cuda",), "0,1")] == [
        (one.options, one.gpu) for one in local.placements("auto", local.together(Gpus(("0", "1")), 2))
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    command = ["start-workers", "local", "--dry-run", "--storage", "sqlite:///none.db", "--devices-per-worker"]
    shown = CliRunner().invoke(cli, [*command, "2"])
    assert "CUDA_VISIBLE_DEVICES=0,1 hpo worker --device=cuda\n" == shown.stdout
    too_few = CliRunner().invoke(cli, [*command, "3"])
    assert (2, True) == (too_few.exit_code, "--devices-per-worker 3: this machine has 2 GPUs" in too_few.stderr)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    none = CliRunner().invoke(cli, [*command, "2"])
    assert "--devices-per-worker 2: this machine has no GPUs (CUDA_VISIBLE_DEVICES names no GPU)" in none.stderr
    both = CliRunner().invoke(cli, [*command, "2", "--workers-per-device", "2"])
    assert (2, True) == (both.exit_code, "leave one of them out" in both.stderr)


def test_the_devices_that_were_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As CUDA_VISIBLE_DEVICES names them: one for each worker."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1,MIG-2")
    assert [f"CUDA_VISIBLE_DEVICES=MIG-{n} hpo worker --device=cuda" for n in (1, 2)] == dry_run()


@pytest.mark.parametrize(
    ("device", "gpus", "expected"),
    [
        ("auto", Gpus(("0",)), "1 GPU"),
        ("auto", Gpus(("0", "1")), "2 GPUs"),
        ("auto", Gpus((), "nvidia-smi is not installed"), "the CPU (nvidia-smi is not installed)"),
        ("cuda:1", Gpus(()), "cuda:1"),
    ],
)
def test_where_workers_run_in_words(device: str, gpus: Gpus, expected: str) -> None:
    """With the reason why there is no GPU."""
    assert expected == local.where(device, gpus)


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
        (["ssh", "--hosts", "/no/such/file"], "give a text file with one host per line"),
        (["ssh", "--host", "-oProxyCommand=evil"], "is not a host"),
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


@pytest.mark.parametrize("place", ["base", "folder"])
@pytest.mark.parametrize("script", ["start", "stop"])
def test_a_folder_that_is_a_link(place: str, script: str, tmp_path: Path) -> None:
    """On a shared disk somebody else may have put it there, to have files of ours written over: nothing is touched."""
    theirs, base = tmp_path / "theirs", tmp_path / "base"
    theirs.mkdir()
    (theirs / "log").write_text("precious")
    if place == "base":
        base.symlink_to(theirs)
    else:
        base.mkdir()
        (base / os.uname().nodename).symlink_to(theirs)
    order = WorkerRequest()
    text = start_script(order, {}, "hpo", str(base)) if script == "start" else stop_script(1.0, str(base))
    done = subprocess.run(["sh", "-s"], input=text, capture_output=True, text=True, check=False)
    assert (2, True) == (done.returncode, " is a link: name the folder itself with --folder" in done.stderr)
    assert ["log"] == [file.name for file in theirs.iterdir()]
    assert "precious" == (theirs / "log").read_text()
