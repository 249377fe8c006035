"""Workers as a Slurm array job: one task a node, which runs the node's launcher on the GPUs that Slurm gives it.

The storage URL goes into the job's environment, which only its user and Slurm can read; the script and what
`scontrol show job` shows don't hold it. A file would need a place that all nodes share, and someone to remove it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from hpo.errors import HpoError, UserError
from hpo.launch.order import Order

# Slurm sends SIGTERM when a job is cancelled or preempted; the launcher hands it on, and the workers save. A job that
# is preempted is queued again by Slurm, one whose time is up by itself.
_SCRIPT = """\
#!/bin/bash
{directives}
again=
trap 'kill -TERM "$workers"' TERM
trap 'again=yes; kill -TERM "$workers"' USR1
{command} &
workers=$!
while wait "$workers"; code=$?; kill -0 "$workers" 2>/dev/null; do :; done
if [ -n "$again" ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID" && exit 0
fi
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of Slurm."""

    nodes: int = 1
    gpus: int = 0
    """For each task of the array."""
    partition: str | None = None
    time: str | None = None
    grace: int = 120
    """Seconds before the time is up, at which the workers are asked to save."""
    output: str = "hpo-%A_%a.log"
    """Slurm's pattern of the file that a task writes."""
    extra: tuple[str, ...] = ()
    """Further options of sbatch."""


def script(order: Order, job: Job, hpo: str = f"{sys.executable} -m hpo") -> str:
    """What sbatch is given; `hpo` is the command on the nodes."""
    options = [
        "--job-name=hpo",
        f"--array=0-{job.nodes - 1}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={max(job.gpus, 1) * order.per_device}",
        *([f"--gres=gpu:{job.gpus}"] if job.gpus else []),
        *([f"--partition={job.partition}"] if job.partition else []),
        *([f"--time={job.time}"] if job.time else []),
        "--requeue",
        f"--signal=B:USR1@{job.grace}",
        "--open-mode=append",
        f"--output={job.output}",
        "--export=ALL",
        *job.extra,
    ]
    directives = "\n".join(f"#SBATCH {option}" for option in options)
    return _SCRIPT.format(directives=directives, command=f"{hpo} {shlex.join(order.arguments())}")


def run(text: str, environment: Mapping[str, str]) -> str:
    """Submit a script; returns the job's number.

    Raises:
        UserError: there is no Slurm here.
        HpoError: Slurm refuses it.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--parsable"],
            input=text,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        raise UserError("sbatch is not on this machine", hint="submit from a node of the cluster") from None
    if done.returncode != 0:
        raise HpoError(f"sbatch: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.strip().partition(";")[0]
