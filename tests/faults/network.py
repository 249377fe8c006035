"""Several hosts on one machine: network namespaces on a bridge, whose links can be cut.

The database lives in one namespace, workers enter others. Needs root, `ip` and a kernel that allows namespaces.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

CLONE_NEWNET = 0x40000000  # sched.h
PREFIX = "hpotest"
NETWORK = "10.77.0"


class NoNamespacesError(Exception):
    """This machine does not allow network namespaces."""


class Network:
    """A bridge, the namespace `db` (10.77.0.10), and one namespace for each further host (10.77.0.11, …)."""

    def __init__(self, hosts: int) -> None:
        self.address = f"{NETWORK}.10"
        self.hosts = [f"n{number}" for number in range(hosts)]
        self._suffix = f"{os.getpid()}"
        try:
            self._make()
        except (OSError, subprocess.CalledProcessError) as error:
            self.remove()
            raise NoNamespacesError(f"no network namespaces here: {error}") from None

    def path(self, host: str) -> Path:
        """The file through which a process enters the namespace of `host`."""
        return Path("/run/netns") / self._name(host)

    def cut(self, host: str) -> None:
        """Take the link of `host` down: what it sends is lost, and nobody tells it."""
        _ip("-n", self._name("switch"), "link", "set", f"p-{host}", "down")

    def heal(self, host: str) -> None:
        """Take the link up again."""
        _ip("-n", self._name("switch"), "link", "set", f"p-{host}", "up")

    def lose(self, host: str, percent: float) -> None:
        """From now on lose so much of what arrives at `host`, at random."""
        _nft(self._name(host), "flush ruleset")
        if percent:
            _nft(self._name(host), "add table inet loss")
            _nft(self._name(host), "add chain inet loss input { type filter hook input priority 0; }")
            chance = f"numgen random mod 10000 < {round(100 * percent)}"
            _nft(self._name(host), f"add rule inet loss input iifname eth0 {chance} drop")

    def remove(self) -> None:
        """Remove all namespaces, and with them their links."""
        for host in ("db", *self.hosts, "switch"):
            subprocess.run(["ip", "netns", "del", self._name(host)], capture_output=True, check=False)

    def _make(self) -> None:
        switch = self._name("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for number, host in enumerate(("db", *self.hosts), start=10):
            name = self._name(host)
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", switch, "link", "add", f"p-{host}", "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("-n", switch, "link", "set", f"p-{host}", "master", "bridge", "up")
            _ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")

    def _name(self, host: str) -> str:
        return f"{PREFIX}{self._suffix}-{host}"


def enter(namespace: Path) -> None:
    """Move this process (its present thread and all that it starts) into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with namespace.open() as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=True)


def _nft(namespace: str, command: str) -> None:
    subprocess.run(["ip", "netns", "exec", namespace, "nft", command], capture_output=True, check=True)
