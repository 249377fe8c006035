"""TLS to Postgres: `sslmode=verify-full` accepts the server it names, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli import cli
from tests.postgres import PostgresServer

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # the wheel's server is built without TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca.crt), a certificate of it for localhost (server.*), and another authority (other.crt)."""
    if not DEBIAN or shutil.which("openssl") is None:
        missing = "TLS needs openssl and a Postgres that is built with it: apt-get install postgresql openssl"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for authority in ("ca", "other"):
        files = ["-keyout", f"{authority}.key", "-out", f"{authority}.crt"]
        openssl("req", "-x509", *key, "-days", "2", "-subj", f"/CN={authority}", *files)
    openssl("req", *key, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"]
    openssl("x509", "-req", "-in", "server.csr", *signed, "-days", "2", "-out", "server.crt")
    return folder


@pytest.fixture(scope="module")
def server(certificates: Path) -> Iterator[PostgresServer]:
    """A server that admits connections over TLS only."""
    server = PostgresServer(binaries=DEBIAN[-1])
    for name in ("server.crt", "server.key"):
        target = server.folder / name
        shutil.copy(certificates / name, target)
        target.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(target, "nobody")
    server.settings |= {
        "ssl": "on",
        "ssl_cert_file": str(server.folder / "server.crt"),
        "ssl_key_file": str(server.folder / "server.key"),
    }
    rules = server.folder / "data" / "pg_hba.conf"
    rules.write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    server.start()
    server.execute("create database studies")
    yield server
    server.remove()


def launch(server: PostgresServer, host: str, query: str) -> Result:
    """Plan a study over a connection with these parameters, the password in the environment."""
    url = f"postgresql://hpo@{host}:{server.port}/studies?{query}"
    environment = {"HPO_STORAGE": url, "PGPASSWORD": server.password}
    return CliRunner().invoke(cli, ["launch-study", "studies/quickstart.toml", "--workers", "0"], env=environment)


def test_the_right_name_and_authority(server: PostgresServer, certificates: Path) -> None:
    """The study is planned, over TLS, with the password from the environment."""
    result = launch(server, "localhost", f"sslmode=verify-full&sslrootcert={certificates}/ca.crt")
    assert result.exit_code == 0, result.output
    assert server.password not in result.output


@pytest.mark.parametrize(
    ("host", "query", "reason"),
    [
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={folder}/ca.crt", "does not match"),
        ("localhost", "sslmode=verify-full&sslrootcert={folder}/other.crt", "certificate verify failed"),
        ("localhost", "sslmode=verify-full&sslrootcert={folder}/missing.crt", "does not exist"),
        ("localhost", "sslmode=disable", "no encryption"),
    ],
)
def test_anything_else_is_refused(
    server: PostgresServer, certificates: Path, host: str, query: str, reason: str
) -> None:
    """Another name, another authority, none at all, no TLS: exit code 2, the reason, and no password."""
    result = launch(server, host, query.format(folder=certificates))
    assert result.exit_code == 2, result.output
    assert reason in result.stderr
    assert server.password not in result.output
