"""The storage's password: in no log, table, report, note, page, message or process list."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url

from hpo.storage import open_storage
from tests.dashboard import Dashboard, free_port
from tests.integration.helpers import wait_until

STUDY = """
name = "secret"
[trial]
epochs = 12
batch_size = 16
data = { kind = "digits", validation = 0.2, train_limit = 200 }
model = { kind = "mlp", hidden = [8] }
optimizer = { kind = "sgd" }
lr = { kind = "constant", peak = 0.1 }
[protocol]
confirm = { top = 1, seeds = 2 }
attempts = 1
[arms.grid]
search."lr.peak" = { values = [0.1, 0.2] }
[arms.broken]
trial.gradient_norms = ["no.such.weight"]
"""


def command_lines() -> str:
    """Of all processes of this machine."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().decode(errors="replace"))
        except OSError:  # it has ended meanwhile
            continue
    return "\n".join(lines)


def answers(dashboard: Dashboard) -> bool:
    """Whether it listens by now."""
    try:
        return dashboard.ask("/api/studies").status == 200
    except OSError:
        return False


def test_nowhere(postgres_url: str, tmp_path: Path) -> None:
    """A study is launched, trained, reported, published and looked at, and another URL refused."""
    password = make_url(postgres_url).password
    assert isinstance(password, str)
    (tmp_path / "study.toml").write_text(STUDY)
    environment = os.environ | {"HPO_STORAGE": postgres_url, "TMPDIR": str(tmp_path)}

    def hpo(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "hpo", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    launch = hpo("launch-study", "study.toml", "--workers", "2", "--device", "cpu")
    wait_until(lambda: b"worker-" in b"".join(str(path).encode() for path in tmp_path.rglob("*.log")))
    assert password not in command_lines()
    said, _ = launch.communicate()
    assert launch.returncode == 1, said
    for arguments in (["status"], ["status", "--json"], ["report", "secret"], ["check", "study.toml"]):
        done = hpo(*arguments)
        said += done.communicate()[0]
    dashboard = Dashboard(hpo("dashboard", "--port", str(port := free_port())), port)
    wait_until(lambda: answers(dashboard))
    for path in ("/dashboard", "/api/studies", "/api/studies/1", "/live", "/live/secret", "/live/secret.json"):
        said += dashboard.ask(path).body.decode(errors="replace")
    assert password not in command_lines()
    dashboard.process.terminate()
    said += dashboard.process.communicate()[0]
    assert password not in said

    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {".html", ".md", ".csv", ".log", ".svg"} <= {path.suffix for path in written}
    for path in written:
        assert password.encode() not in path.read_bytes(), path

    storage = open_storage(postgres_url)
    with storage.engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        assert {"hpo_cell", "hpo_worker", "trials", "study_system_attributes"} <= set(tables)
        for table in tables:
            rows = connection.execute(text(f'select t::text from "{table}" t')).scalars().all()
            assert password not in "\n".join(rows), table
    storage.close()


def workers(folder: Path) -> list[Path]:
    """The processes of workers that were started in `folder`, as /proc has them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"\0worker\0" in (process / "cmdline").read_bytes() and (process / "cwd").readlink() == folder:
                found.append(process)
        except OSError:  # it has ended meanwhile
            continue
    return found


def test_a_secret_for_checkpoints(sqlite_url: str, tmp_path: Path) -> None:
    """It reaches the workers, though not by their command lines; their logs and the launcher's words don't show it."""
    (tmp_path / "study.toml").write_text(STUDY)
    url = "ftp://bob:hunter2@127.0.0.1:1/x"  # where nobody listens
    launch = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "hpo",
            "launch-study",
            "study.toml",
            "--workers=1",
            "--device=cpu",
            f"--checkpoints={url}",
        ],
        cwd=tmp_path,
        env=os.environ | {"HPO_STORAGE": sqlite_url, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    (worker, *_) = wait_until(lambda: workers(tmp_path))
    command, environment = (worker / "cmdline").read_bytes(), (worker / "environ").read_bytes()
    said, _ = launch.communicate()
    assert f"HPO_CHECKPOINTS={url}\0".encode() in environment
    said += "".join(log.read_text() for log in tmp_path.rglob("*.log"))
    assert "--checkpoints 'ftp://bob:***@127.0.0.1:1/x': " in said
    assert "other users of this machine can see a password on the command line" in said
    assert "hunter2" not in said + command.decode()
