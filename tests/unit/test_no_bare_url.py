"""No URL that may hold a secret is put into a message or a command line: every place of the code is looked at."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpo.cli import cli

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "hpo").rglob("*.py"))
NAMES = {"url", "storage_url", "checkpoints_url", "checkpoints"}
"""Variables and fields that hold a URL as it was given."""
IN_CLI = {"storage"}
SAFE = {"masked", "masked_text", "create_storage", "migrate_storage", "storage_flag"}
"""Functions that take a URL, and give back what may be shown."""
SPEAKING = {"echo", "debug", "info", "warning", "error", "exception", "confirm", "print"}
HARMLESS = {("hpo/cli/results.py", "url")}  # the dashboard's own address


def bare(node: ast.AST, names: set[str]) -> Iterator[str]:
    """The URLs in an expression, as they are."""
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in SAFE:
            return
    if isinstance(node, ast.Attribute):
        if node.attr in names:
            yield node.attr
        return
    if isinstance(node, ast.Name):
        if node.id in names:
            yield node.id
        return
    for child in ast.iter_child_nodes(node):
        yield from bare(child, names)


def said(tree: ast.AST) -> Iterator[ast.AST]:
    """What goes into an f-string, a log or the terminal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue):
            yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SPEAKING:
            yield from node.args


def found(code: str, path: str) -> list[tuple[str, str]]:
    names = NAMES | IN_CLI if path.startswith("hpo/cli/") else NAMES
    return [(path, name) for node in said(ast.parse(code)) for name in bare(node, names)]


def test_no_message_holds_a_bare_url() -> None:
    """Write masked(url)."""
    hits = [hit for file in FILES for hit in found(file.read_text(), str(file.relative_to(ROOT)))]
    assert set() == set(hits) - HARMLESS


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('f"--checkpoints={checkpoints}"', ["checkpoints"]),
        ('f"{options.checkpoints_url!r}: no"', ["checkpoints_url"]),
        ('log.info("at %s", self.url)', ["url"]),
        ('click.echo("at " + storage)', ["storage"]),
        ('f"{masked(url)}: {masked_text(str(error), url)} {storage.name} {url.database}"', []),
    ],
)
def test_what_is_found(code: str, expected: list[str]) -> None:
    """The search above finds what it is for."""
    assert expected == [name for _, name in found(code, "hpo/cli/x.py")]


SECRETS = {
    "HPO_STORAGE": "postgresql://me:s3cret-1@127.0.0.1:1/studies",
    "HPO_CHECKPOINTS": "ftp://bob:s3cret-2@127.0.0.1/x",
    "PGPASSWORD": "s3cret-3",
    "MINE": "s3cret-4",
}
LAUNCHERS = {
    "ssh": ["ssh", "--host", "n1", "--env", "MINE"],
    "sbatch": ["slurm"],
    "kubectl": ["kubernetes", "--image", "hpo:1", "--env", "MINE"],
}


@pytest.mark.parametrize("program", LAUNCHERS)
def test_no_command_line_holds_a_secret(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher hands all of them over on standard input or by the environment, which others can't read."""
    there = tmp_path / program
    there.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"open({str(tmp_path / 'arguments')!r}, 'w').write('\\n'.join(sys.argv))\n"
        f"open({str(tmp_path / 'input')!r}, 'w').write(sys.stdin.read())\n"
        f"open({str(tmp_path / 'environment')!r}, 'w').write(repr(dict(os.environ)))\n"
    )
    there.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(cli, ["start-workers", *LAUNCHERS[program], "quickstart"], env=SECRETS)
    assert 0 == done.exit_code, done.output
    assert "s3cret" not in done.output + (tmp_path / "arguments").read_text()
    script, environment = (tmp_path / "input").read_text(), (tmp_path / "environment").read_text()
    for secret in SECRETS.values():
        assert secret in (environment if program == "sbatch" else script)
    if program == "sbatch":
        assert "s3cret" not in script  # Slurm's operators can read it
