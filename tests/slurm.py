"""A Slurm of a test's own: a real controller and one real daemon for each virtual node, all on this machine.

Keys, sockets and state lie in one folder; nothing in /etc or /run is touched. Needs root, slurm-wlm and munge.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.machine import program

GPUS_PER_NODE = 2
CONFIGURATION = """\
ClusterName=hpotest
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={port}
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=30
MinJobAge=300
GresTypes=gpu
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class SlurmCluster:
    """A running cluster; `environment` is what Slurm's commands need to reach it."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.folder, self.nodes = folder, [f"n{number}" for number in range(1, nodes + 1)]
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._configure()
        self._munge()
        self._daemon("slurmctld", "-D", "-c", "-f", str(folder / "slurm.conf"))
        for node in self.nodes:
            self._daemon("slurmd", "-D", "-N", node, "-f", str(folder / "slurm.conf"))

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands prints; empty if it fails."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, check=False, timeout=30
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    def up(self) -> bool:
        """Whether all nodes wait for work."""
        return len(self.nodes) == self.ask("sinfo", "-h", "-N", "-o", "%t").split().count("idle")

    def states(self, job: str) -> list[str]:
        """Of the job's tasks, such as RUNNING, COMPLETED."""
        return self.ask("squeue", "-h", "-r", "--states=all", "-j", job, "-o", "%T").split()

    def end(self) -> None:
        """End all daemons, and what is left of the jobs."""
        me = getpass.getuser()
        self.ask("scancel", "--full", "--signal=KILL", f"--user={me}")
        self.ask("scancel", f"--user={me}")
        for _ in range(100):
            if not self.ask("squeue", "-h", "--states=RUNNING,COMPLETING"):
                break
            time.sleep(0.1)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            daemon.wait()

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        first, *others = _free_ports(1 + len(self.nodes))
        text = CONFIGURATION.format(host=host, folder=self.folder, port=first)
        gpus = ""
        for number, (node, port) in enumerate(zip(self.nodes, others, strict=True)):
            about = (
                f"NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=4000 Gres=gpu:{GPUS_PER_NODE}"
            )
            text += f"NodeName={node} {about}\n"
            # Any device file will do: Slurm counts them and sets CUDA_VISIBLE_DEVICES by their place.
            devices = f"/dev/tty[{10 + 2 * number}-{11 + 2 * number}]"
            gpus += f"NodeName={node} Name=gpu File={devices}\n"
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text(gpus)
        (self.folder / "state").mkdir()

    def _munge(self) -> None:
        folder = self.folder / "munge"
        folder.mkdir(mode=0o755)
        (folder / "key").write_bytes(secrets.token_bytes(128))
        (folder / "key").chmod(0o400)
        for path in (folder, folder / "key"):
            shutil.chown(path, "munge", "munge")
        as_munge = ["--reuid=munge", "--regid=munge", "--clear-groups"]
        files = [f"--{name}-file={folder}/{name}" for name in ("key", "pid", "log", "seed")]
        daemon = [program("munged"), "--foreground", f"--socket={folder}/socket", *files]
        self._daemon("setpriv", *as_munge, *daemon)

    def _daemon(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}-{len(self._daemons)}.out").open("wb") as output:
            self._daemons.append(
                subprocess.Popen(
                    [program(name), *arguments],
                    env=os.environ | self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )


def _free_ports(count: int) -> list[int]:
    listeners = [socket.socket() for _ in range(count)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    ports: list[int] = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
