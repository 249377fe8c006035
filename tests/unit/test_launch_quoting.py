"""What launchers write, with names that hold blanks, quotes, ends of lines, $(), backticks and dashes.

What can't be meant is refused. The rest reaches the other side as it was given: real shells run the scripts.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from hpo.cli import cli
from hpo.errors import UserError
from hpo.launch import kubernetes, request, slurm, ssh
from hpo.launch.kubernetes import Pods
from hpo.launch.request import HERE, WorkerRequest
from hpo.launch.slurm import Job

NASTY = [
    "two words",
    "it's",
    'say "so"',
    "$(touch pwned) `touch pwned` $HOME",
    "a;touch pwned",
    "#x",
    "back\\slash",
    "ü λ 😀",
]
URL = "postgresql://me:s3cret@db.example.org/studies"
IMAGE = ["kubernetes", "--image", "hpo:1"]

REFUSED = [
    (["ssh", "--host", "-oProxyCommand=touch pwned"], "is not a host"),
    (["ssh", "--host", "me@-oProxyCommand=x"], "is not a host"),
    (["ssh", "--host", "h\nx"], "is not a host"),
    (["ssh", "--host", "h x"], "is not a host"),
    (["ssh", "--host", "h`id`"], "is not a host"),
    (["ssh", "--host", "h$(id)"], "is not a host"),
    (["ssh", "--host", ""], "is not a host"),
    (["ssh", "--host", "h", "--ssh", "'"], "No closing quotation"),
    (["ssh", "--host", "h", "--ssh", " "], "the command is empty"),
    (["ssh", "--host", "h", "--hpo", "-x"], "this is not a path"),
    (["ssh", "--host", "h", "--hpo", "~/venv/bin/hpo"], "this is not a path"),
    (["ssh", "--host", "h", "--hpo", "$HOME/hpo"], "this is not a path"),
    (["ssh", "--host", "h", "--folder", ""], "this is not a path"),
    (["ssh", "--host", "h", "--folder", "a\nb"], "this is not a path"),
    (["ssh", "--host", "h", "--folder", "`id`"], "this is not a path"),
    (["ssh", "--host", "h", "--env", "A;touch pwned"], "this is not the name of a variable"),
    (["ssh", "--host", "h", "--env", "NO_TEXT"], "its value is not valid UTF-8"),
    (["ssh", "--host", "h", "--", "--forever"], "there can be no study '--forever'"),
    (["slurm", "--partition", "gpu\ntouch pwned"], "this is not the name of a partition"),
    (["slurm", "--partition", "a b"], "this is not the name of a partition"),
    (["slurm", "--partition", ""], "this is not the name of a partition"),
    (["slurm", "--time", "1\n"], "this is not a time that Slurm accepts"),
    (["slurm", "--time", "tomorrow"], "this is not a time that Slurm accepts"),
    (["slurm", "--output", "a\nb"], "this is not the name of a file"),
    (["slurm", "--output", ""], "this is not the name of a file"),
    (["slurm", "--sbatch", "--mem=1\ntouch pwned"], "this is not an option of sbatch"),
    (["slurm", "--sbatch", "account=x"], "this is not an option of sbatch"),
    (["slurm", "--sbatch", "--comment='x"], "No closing quotation"),
    (["slurm", "--hpo", "module load x && hpo"], "no shell will expand it"),
    (["slurm", "--hpo", "$HOME/hpo"], "no shell will expand it"),
    (["slurm", "--hpo", "'"], "No closing quotation"),
    ([*IMAGE, "--kubectl", "'"], "No closing quotation"),
    (["kubernetes", "--image", "hpo\nx: y"], "--image 'hpo\\nx: y': allowed is"),
    (["kubernetes", "--image", "--privileged"], "--image '--privileged': allowed is"),
    (["kubernetes", "--image", "$(id)"], "--image '$(id)': allowed is"),
    (["kubernetes", "--image", ""], "--image '': allowed is"),
    ([*IMAGE, "--name", "Upper"], "--name 'Upper': allowed is"),
    ([*IMAGE, "--name", "a\n"], "--name 'a\\n': allowed is"),
    ([*IMAGE, "--name", "-a"], "--name '-a': allowed is"),
    ([*IMAGE, "--name", "a" * 53], "allowed is at most 52"),
    ([*IMAGE, "--memory", "4 Gi"], "--memory '4 Gi': allowed is"),
    ([*IMAGE, "--memory", "4GiB"], "--memory '4GiB': allowed is"),
    ([*IMAGE, "--data", "a, readOnly: false"], "--data 'a, readOnly: false': allowed is"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
@pytest.mark.parametrize("dry", [True, False])
def test_what_cannot_be_meant(arguments: list[str], words: str, dry: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message and exit code 2, of a dry run too; nothing is started, for there is no program to start."""
    monkeypatch.setenv("PATH", "/nonexistent")
    verb, *rest = arguments
    command = [
        "start-workers",
        verb,
        *(["--dry-run"] if dry and "--ssh" not in rest and "--kubectl" not in rest else []),
        *rest,
    ]
    environment = {"HPO_STORAGE": URL, "A;touch pwned": "x", "NO_TEXT": "\udce9"}
    done = CliRunner().invoke(cli, command, env=environment)
    assert words in done.output
    assert 2 == done.exit_code, done.output


def shell(script: str, folder: Path, *interpreter: str) -> str:
    """Run a script with `folder` as home and working directory."""
    done = subprocess.run(
        interpreter,
        input=script,
        text=True,
        capture_output=True,
        check=False,
        cwd=folder,
        env=os.environ | {"HOME": str(folder)},
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def fake_hpo(folder: Path, stays: float = 0.0) -> Path:
    """A command that notes its arguments and its environment, and stays for a while unless it is ended before."""
    path = folder / "it's my (own) hpo"
    path.write_text(
        f"#!{sys.executable}\nimport json, os, sys, time\n"
        f"open({str(folder / 'noted')!r}, 'w').write(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
        f"print('workers: 1 on the CPU', flush=True)\ntime.sleep({stays})\n"
    )
    path.chmod(0o755)
    return path


def noted(folder: Path) -> Any:
    return json.loads((folder / "noted").read_text())


def test_slurm(tmp_path: Path) -> None:
    """The script runs the command with the studies as they are named; each directive is one line of it."""
    job = Job(output="my logs/%A $(x).log", extra=("--comment='it is' --mem=1G", '-A "the account"'))
    script = slurm.script(WorkerRequest(tuple(NASTY)), job, [str(fake_hpo(tmp_path))])
    shell(script, tmp_path, "bash", "-s")
    arguments, _ = noted(tmp_path)
    assert ["start-workers", "local", *NASTY] == arguments
    assert not (tmp_path / "pwned").exists()
    assert '#SBATCH "--output=my logs/%A $(x).log"\n' in script
    assert '#SBATCH "--comment=it is" --mem=1G\n' in script
    assert '#SBATCH -A "the account"\n' in script


def test_the_working_directory_holds_no_code(tmp_path: Path) -> None:
    """Others may write where somebody starts workers: a file of theirs with a module's name must not be run."""
    (tmp_path / "click.py").write_text("open('pwned', 'w')")
    done = subprocess.run([*HERE, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("hpo, version"), done.stderr
    assert ["click.py"] == [path.name for path in tmp_path.iterdir()]


def test_the_present_command() -> None:
    """An interpreter below a folder with a blank in its name is one word."""
    script = slurm.script(WorkerRequest(("x",)), Job(), ("/opt/my venv/bin/python", "-m", "hpo"))
    assert "\n'/opt/my venv/bin/python' -m hpo start-workers local x &\n" in script


def test_ssh(tmp_path: Path) -> None:
    """The script makes a folder for its user alone; the environment arrives as it was, ends of lines included."""
    fake_hpo(tmp_path, stays=60.0)
    environment = {f"VALUE_{number}": f"{value}\nnext line" for number, value in enumerate(NASTY)}
    folder = 'it\'s "my" folder; #1'
    script = ssh.start_script(WorkerRequest(tuple(NASTY)), environment, "./it's my (own) hpo", folder)
    said = shell(script, tmp_path, "sh", "-s")
    stopped = shell(ssh.stop_script(60.0, folder), tmp_path, "sh", "-s")
    where = f"log: {folder}/{os.uname().nodename}/log\n"
    assert [f"workers: 1 on the CPU; {where}", f"stopped; {where}"] == [said, stopped]
    arguments, found = noted(tmp_path)
    assert ["start-workers", "local", *NASTY] == arguments
    assert environment == {name: value for name, value in found.items() if name.startswith("VALUE_")}
    assert not (tmp_path / "pwned").exists()
    (there,) = (tmp_path / folder).iterdir()
    assert 0o700 == stat.S_IMODE(there.stat().st_mode)
    assert ["log"] == [path.name for path in there.iterdir()]
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in there.iterdir()}


def test_a_folder_of_another_user(tmp_path: Path) -> None:
    """Who owns the folder could have a file of mine overwritten."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = tmp_path / "workers" / os.uname().nodename
    folder.mkdir(parents=True)
    os.chown(folder, 65534, 65534)
    script = ssh.start_script(WorkerRequest(), {}, "true", "workers")
    done = subprocess.run(["sh", "-s"], input=script, text=True, capture_output=True, check=False, cwd=tmp_path)
    assert (2, f"workers/{folder.name} belongs to another user\n") == (done.returncode, done.stderr)


@pytest.mark.parametrize("name", ["123", "true", "null", "1e3", "0x1f", "no", "a-b"])
def test_kubernetes(name: str) -> None:
    """Every name is a text, whatever YAML would take it for; no variable is put in place of what looks like one."""
    studies = ("$(HPO_STORAGE)", "$$x", *NASTY)
    text = kubernetes.manifest(WorkerRequest(studies), Pods("registry:5000/a/b@sha256:0", name, data=name, secret=name))
    job = yaml.safe_load(text)
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert name == job["metadata"]["name"] == job["metadata"]["labels"]["app.kubernetes.io/instance"]
    assert name == container["envFrom"][0]["secretRef"]["name"]
    assert {"claimName": name} == spec["volumes"][1]["persistentVolumeClaim"]
    assert "registry:5000/a/b@sha256:0" == container["image"]
    assert ["$$(HPO_STORAGE)", "$$$$x"] == container["args"][2:4]
    # Kubernetes puts $ in place of $$.
    assert [*studies] == [argument.replace("$$", "$") for argument in container["args"][2:]]


def test_a_secret_of_kubernetes() -> None:
    """Each value arrives as it is."""
    values = {f"NAME_{number}": f"{value}\n\x7f\x85\u2028" for number, value in enumerate(NASTY)}
    secret = yaml.safe_load(kubernetes.secret(values, Pods("hpo", "123", secret="123")))
    assert values == secret["stringData"]
    assert "123" == secret["metadata"]["name"]


@pytest.mark.parametrize(("command", "expected"), [("ssh -F 'my config'", ["ssh", "-F", "my config"]), ("a", ["a"])])
def test_words_of_a_command(command: str, expected: list[str]) -> None:
    """As a shell splits them."""
    assert expected == request.words("--ssh", command)


def test_a_job_is_checked_without_the_command_line() -> None:
    """The builder refuses it too."""
    with pytest.raises(UserError, match="not the name of a partition"):
        slurm.script(WorkerRequest(), Job(partition="a\nb"))


def test_hosts() -> None:
    """Those that ssh takes: names, addresses, users, each once."""
    hosts = ["n1", "me@n2.example.org", "10.0.0.1", "fe80::1%eth0", "ssh://me@h:22", "DOMAIN\\me@h", "n1"]
    assert hosts[:-1] == ssh.checked(hosts)
