"""Verbs that start and stop the workers of many nodes; what each launcher runs is in `hpo.launch`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hpo.cli.exit_codes import exit_codes
from hpo.cli.options import (
    checkpoint_option,
    checkpoints_option,
    device_option,
    dry_run_option,
    env_option,
    forever_option,
    lease_option,
    per_device_option,
    per_worker_option,
    retry_option,
    stall_option,
    storage_option,
    studies_argument,
    track_option,
)
from hpo.cli.terminal import say
from hpo.errors import HpoError, UserError
from hpo.launch.request import HERE, WorkerRequest, handed_over, hidden
from hpo.process.signals import on_signal

SECRETS = ("PGPASSWORD", "PGSSLPASSWORD")
"""Handed over to other machines if they are set here, as the storage URL is."""


def worker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The studies, and the options of a worker, in every verb of `start-workers`."""
    options = (
        storage_option,
        per_device_option,
        per_worker_option,
        lease_option,
        checkpoint_option,
        checkpoints_option,
    )
    more = (retry_option, stall_option, track_option, forever_option, dry_run_option)
    return reduce(lambda made, option: option(made), reversed((studies_argument, *options, *more)), command)


host_option = click.option(
    "--host", "named", multiple=True, metavar="HOST", help="A host, as your ssh configuration knows it."
)
hosts_option = click.option("--hosts", type=click.Path(path_type=Path), help="A file with one host per line.")
ssh_option = click.option("--ssh", default="ssh", metavar="COMMAND", help="The ssh command, with any options you need.")
folder_option = click.option(
    "--folder", default=".hpo-workers", metavar="DIR", help="Folder for logs and process ids, below the home folder."
)


@click.group("start-workers")
def start_workers() -> None:
    """Start workers on the GPUs of one or many machines."""


@start_workers.command()
@worker_options
@device_option
@exit_codes
def local(studies: tuple[str, ...], storage: str, device: str, dry_run: bool, **given: Any) -> None:
    """Start workers on this machine, one for each GPU.

    Each sees its own GPU alone. Their output appears on stderr, each line with the worker's number. Ctrl-C and SIGTERM
    let all of them save and end.
    """
    from hpo.launch import local as launcher
    from hpo.local_run import run_workers
    from hpo.storage import create_storage, open_storage
    from hpo.storage.connection.retry import Retry

    request = _request(studies, **given)
    gpus = launcher.gpus_for(device)
    groups = launcher.together(gpus, request.per_worker)
    placements = launcher.placements(device, groups, request.options, per_device=request.per_device)
    workers = f"workers: {len(placements)} on {launcher.where(device, gpus)}"
    if dry_run:
        say(workers, err=True)
        say(launcher.text(studies, placements), nl=False)
        return
    stopped = on_signal()
    open_or_create = create_storage if given["forever"] else open_storage
    opened = open_or_create(storage, Retry(given["retry_for"], stopped))
    for study in studies:
        opened.ledger.study(study)  # a wrong name is told here and not by every worker
    opened.close()
    say(f"{workers}, storage {opened}", err=True)
    environment = handed_over(storage, given["checkpoints"])
    run_workers(studies, placements, environment, partial(say, err=True), stopped, forever=given["forever"])


@start_workers.command()
@worker_options
@env_option
@host_option
@hosts_option
@ssh_option
@click.option("--hpo", default="hpo", metavar="PATH", help="The hpo command on the hosts.")
@folder_option
@exit_codes
def ssh(
    studies: tuple[str, ...],
    storage: str,
    named: tuple[str, ...],
    hosts: Path | None,
    dry_run: bool,
    names: tuple[str, ...],
    ssh: str,
    hpo: str,
    folder: str,
    **given: Any,
) -> None:
    """Start workers on machines that ssh reaches.

    ssh must not have to ask for a password. The workers outlive the connection; `hpo nodes` shows them, and `hpo
    stop-workers` lets them save and end. The storage URL is sent on ssh's standard input.
    """
    from hpo.launch import ssh as launcher

    request, environment, shown = _for_other_machines(studies, storage, names, **given)
    asked = _hosts(named, hosts)
    if dry_run:
        say(f"on each of {', '.join(asked)}: {ssh} {' '.join(launcher.OPTIONS)} HOST sh -s <<'END'")
        say(launcher.start_script(request, shown, hpo, folder) + "END")
        return
    _tell(launcher.submit(asked, launcher.start_script(request, environment, hpo, folder), ssh))


@click.command("stop-workers")
@host_option
@hosts_option
@ssh_option
@folder_option
@click.option(
    "--wait",
    default=60.0,
    type=click.FloatRange(0.0),
    metavar="SECONDS",
    help="How long to wait until all trials are saved.",
)
@exit_codes
def stop_workers(named: tuple[str, ...], hosts: Path | None, ssh: str, folder: str, wait: float) -> None:
    """Stop the workers that were started with ssh.

    They are those of `hpo start-workers ssh`, and save their trials first. Workers that were started otherwise are
    stopped by what started them: scancel, kubectl delete, systemctl stop.
    """
    from hpo.launch import ssh as launcher

    _tell(launcher.submit(_hosts(named, hosts), launcher.stop_script(wait, folder), ssh))


@start_workers.command()
@worker_options
@click.option(
    "--nodes",
    default=1,
    type=click.IntRange(1, 10_000),
    help="Tasks of the job array; each runs the workers of one node.",
)
@click.option(
    "--gpus", "--gpus-per-node", "gpus", default=0, type=click.IntRange(0, 64), help="GPUs of each task (--gres)."
)
@click.option("--partition", metavar="NAME")
@click.option("--time", metavar="TIME", help="Time limit of a task; it continues in a new one afterwards.")
@click.option(
    "--grace",
    default=120,
    type=click.IntRange(10, 3600),
    metavar="SECONDS",
    help="How long before the limit the workers save.",
)
@click.option("--output", default="hpo-%A_%a.log", metavar="PATTERN", help="Log file of a task's workers.")
@click.option(
    "--sbatch", "extra", multiple=True, metavar="OPTION", help="An additional sbatch option, such as --account=NAME."
)
@click.option("--hpo", metavar="COMMAND", help="The hpo command on the nodes.  [default: the present one]")
@exit_codes
def slurm(
    studies: tuple[str, ...],
    storage: str,
    nodes: int,
    gpus: int,
    partition: str | None,
    time: str | None,
    grace: int,
    output: str,
    extra: tuple[str, ...],
    hpo: str | None,
    dry_run: bool,
    **given: Any,
) -> None:
    """Start workers as a Slurm job array.

    It is requeued when it is preempted or its time is up. The storage URL is sent in the job's environment.
    """
    from hpo.launch import slurm as launcher

    request, environment, shown = _for_other_machines(studies, storage, (), **given)
    job = launcher.Job(nodes, gpus, partition, time, grace, output, extra)
    script = launcher.script(request, job, HERE if hpo is None else launcher.command(hpo))
    if dry_run:
        handed = " ".join(f"{name}={value}" for name, value in shown.items())
        say(f"sbatch --parsable, with {handed} in its environment", err=True)
        say(script, nl=False)
        return
    number = launcher.submit(script, environment)
    say(number)
    say(f"hint: squeue -j {number} shows it, scancel {number} lets its workers save and go", err=True)


@start_workers.command()
@worker_options
@env_option
@click.option("--image", required=True, help="Image to run; deploy/Dockerfile builds one.")
@click.option("--pods", default=1, type=click.IntRange(1, 10_000))
@click.option("--gpus", default=0, type=click.IntRange(0, 64), help="GPUs of each pod (nvidia.com/gpu).")
@click.option("--memory", default="4Gi", metavar="QUANTITY", help="Memory of each pod.")
@click.option("--data", metavar="CLAIM", help="A persistent volume claim with data sets.")
@click.option("--name", default="hpo-workers", help="Name of the Deployment or Job.")
@click.option("--kubectl", default="kubectl", metavar="COMMAND", help="The kubectl command, with any options you need.")
@exit_codes
def kubernetes(
    studies: tuple[str, ...],
    storage: str,
    names: tuple[str, ...],
    image: str,
    pods: int,
    gpus: int,
    memory: str,
    data: str | None,
    name: str,
    kubectl: str,
    dry_run: bool,
    **given: Any,
) -> None:
    """Start workers as Kubernetes pods.

    They are an Indexed Job, or a Deployment with --forever. The storage URL is sent in a Secret, `NAME-storage`.
    """
    from hpo.launch import kubernetes as launcher

    request, environment, shown = _for_other_machines(studies, storage, names, **given)
    asked = launcher.Pods(image, name, pods, gpus, memory, data, f"{name}-storage")
    if dry_run:
        say(f"{launcher.secret(shown, asked)}---\n{launcher.manifest(request, asked)}", nl=False)
        return
    said = launcher.submit(f"{launcher.secret(environment, asked)}---\n{launcher.manifest(request, asked)}", kubectl)
    say(said, err=True)


def _request(
    studies: tuple[str, ...],
    per_device: int,
    per_worker: int,
    forever: bool,
    track: tuple[str, ...],
    checkpoints: str | None,
    **given: float,
) -> WorkerRequest:
    """`checkpoints` travels in the environment: such a URL may hold a secret."""
    for study in studies:
        if study.startswith("-"):
            raise UserError(f"there can be no study {study!r}", hint="options stand before the --")
    if per_device > 1 and per_worker > 1:
        raise UserError(
            f"--workers-per-device {per_device}, --devices-per-worker {per_worker}: a device has several workers, or a "
            "worker several devices",
            hint="leave one of them out",
        )
    source = click.get_current_context().get_parameter_source
    chosen = {name: value for name, value in given.items() if source(name) is not ParameterSource.DEFAULT}
    options = [f"--{name.replace('_', '-')}={value:g}" for name, value in chosen.items()]
    options += [f"--track={one}" for one in track]
    return WorkerRequest(studies, per_device, per_worker, (*options, *(["--forever"] if forever else [])))


def _environment(storage: str, checkpoints: str | None, names: Sequence[str]) -> dict[str, str]:
    given = handed_over(storage, checkpoints)
    for name in names:
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            raise UserError(f"--env {name!r}: this is not the name of a variable")
        if name not in os.environ:
            raise UserError(f"--env {name}: this variable is not set here")
        given[name] = os.environ[name]
    for name, value in given.items():
        if any(0xD800 <= ord(character) < 0xE000 for character in value):
            raise UserError(f"{name}: its value is not valid UTF-8")
    return given


def _for_other_machines(
    studies: tuple[str, ...], storage: str, names: Sequence[str], **given: Any
) -> tuple[WorkerRequest, dict[str, str], dict[str, str]]:
    """What is to run there, what is handed over to it, and that as it may be shown."""
    from hpo.storage.connection.url import parse_url

    if parse_url(storage).drivername == "sqlite":
        raise UserError("SQLite is for one machine", hint="several machines need Postgres: docs/storage.md")
    environment = _environment(
        storage, given["checkpoints"], [*(name for name in SECRETS if name in os.environ), *names]
    )
    return _request(studies, **given), environment, hidden(environment)


def _hosts(named: Sequence[str], file: Path | None) -> list[str]:
    from hpo.launch.ssh import checked, hosts_of

    try:
        hosts = [*named, *(hosts_of(file.read_text("utf-8-sig")) if file else [])]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--hosts {file}: {error}", hint="give a text file with one host per line") from None
    if not hosts:
        raise UserError(
            "no host is given", hint="--host NAME, as often as you like, or --hosts FILE with one host per line"
        )
    return checked(hosts)


def _tell(replies: Any) -> None:
    """Say what each host answered.

    Raises:
        HpoError: not all of them did what they were asked.
    """
    failed = []
    for reply in replies:
        say(f"{reply.host}: {reply.said or 'no answer'}", err=True)
        if reply.code != 0:
            failed.append(f"{reply.host} ({reply.code})")
    if failed:
        raise HpoError(f"failed, with exit code: {', '.join(failed)}")
