"""Workers as a Slurm array job: one task a node, which runs the node's launcher on the GPUs that Slurm gives it.

The storage URL goes into the job's environment, which only its user and Slurm can read; the script and what
`scontrol show job` shows don't hold it. A file would need a place that all nodes share, and someone to remove it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.errors import HpoError, UserError
from hpo.launch.request import HERE, WorkerRequest, words

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

_PARTITIONS = re.compile(r"[\w.+-]+(,[\w.+-]+)*", re.ASCII)
_TIME = re.compile(r"\d+([:-]\d+)*|infinite|unlimited", re.ASCII | re.IGNORECASE)
_PLAIN = re.compile(r"[\w.,:/=@%+-]+")
_SHELL = re.compile(r"[;&|<>$`\n]")


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of Slurm."""

    nodes: int = 1
    gpus: int = 0
    """What each task of the array is given."""
    partition: str | None = None
    time: str | None = None
    grace: int = 120
    """Seconds before the time is up, at which the workers are asked to save."""
    output: str = "hpo-%A_%a.log"
    """Slurm's pattern of the file that a task writes."""
    extra: tuple[str, ...] = ()
    """Further options of sbatch."""


def command(given: str) -> list[str]:
    """The words of `--hpo`.

    Raises:
        UserError: it is a piece of a shell's script.
    """
    if _SHELL.search(given):
        raise UserError(
            f"--hpo {given!r}: this must be a plain command with its arguments; no shell will expand it",
            hint='write a script that ends with: exec hpo "$@", and give its path',
        )
    return words("--hpo", given)


def script(request: WorkerRequest, job: Job, hpo: Sequence[str] = HERE) -> str:
    """What sbatch is given; `hpo` is the command on the nodes.

    Raises:
        UserError: an option can't be meant so.
    """
    _check(job)
    options = [
        "--job-name=hpo",
        f"--array=0-{job.nodes - 1}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={max(job.gpus, 1) * request.per_device}",
        *([f"--gres=gpu:{job.gpus}"] if job.gpus else []),
        *([f"--partition={job.partition}"] if job.partition else []),
        *([f"--time={job.time}"] if job.time else []),
        "--requeue",
        f"--signal=B:USR1@{job.grace}",
        "--open-mode=append",
        f"--output={job.output}",
        "--export=ALL",
    ]
    lines = [_quoted(option) for option in options]
    for option in job.extra:
        lines.append(" ".join(_quoted(word) for word in words("--sbatch", option)))
    directives = "\n".join(f"#SBATCH {line}" for line in lines)
    return _SCRIPT.format(directives=directives, command=shlex.join([*hpo, *request.arguments()]))


def _check(job: Job) -> None:
    if job.partition is not None and not _PARTITIONS.fullmatch(job.partition):
        raise UserError(
            f"--partition {job.partition!r}: this is not the name of a partition, nor several separated by commas"
        )
    if job.time is not None and not _TIME.fullmatch(job.time):
        raise UserError(
            f"--time {job.time!r}: this is not a time that Slurm accepts",
            hint="write minutes, or a time such as 08:00:00 or 1-12:00:00",
        )
    # A line ends a directive: what follows it would be a command of the script.
    if not job.output or not job.output.isprintable():
        raise UserError(f"--output {job.output!r}: this is not the name of a file")
    for option in job.extra:
        if not option.startswith("-") or not option.isprintable():
            raise UserError(
                f"--sbatch {option!r}: this is not an option of sbatch", hint="write it as in --sbatch=--account=NAME"
            )


def _quoted(word: str) -> str:
    """Quote a value as a line of directives has it: sbatch reads a backslash within any quotes, unlike a shell."""
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def submit(text: str, environment: Mapping[str, str]) -> str:
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
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError:
        raise UserError("sbatch is not on this machine", hint="submit from a node of the cluster") from None
    if done.returncode != 0:
        raise HpoError(f"sbatch: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.strip().partition(";")[0]
