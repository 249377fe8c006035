"""An ssh server of a test's own on loopback, with keys of its own: nothing in /etc/ssh or ~/.ssh is touched or read."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

from tests.dashboard import free_port
from tests.machine import program

SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
"""
CLIENT = """\
Host n1 n2
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {folder}/user
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
Host down
    HostName 127.0.0.1
    Port {closed}
"""


class SshServer:
    """One server, known to `self.command` as the hosts n1 and n2; the host `down` refuses."""

    def __init__(self, folder: Path) -> None:
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        ports = free_port(), free_port()
        values = {"folder": folder, "port": ports[0], "closed": ports[1], "user": getpass.getuser()}
        (folder / "sshd_config").write_text(SERVER.format(**values))
        (folder / "ssh_config").write_text(CLIENT.format(**values))
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{ports[0]} {(folder / 'host.pub').read_text()}")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where its unprivileged part is locked in
        self.command = f"ssh -F {folder}/ssh_config"
        self._folder = folder
        self._process = subprocess.Popen(
            [program("sshd"), "-D", "-f", folder / "sshd_config", "-E", folder / "sshd.log"],
            stdin=subprocess.DEVNULL,
        )

    def answers(self) -> bool:
        """Whether one can log in by now."""
        assert self._process.poll() is None, (self._folder / "sshd.log").read_text()
        return subprocess.run([*self.command.split(), "n1", "true"], capture_output=True, check=False).returncode == 0

    def end(self) -> None:
        """End the server; what its users have started lives on."""
        self._process.terminate()
        self._process.wait()
