"""Verbs on workers: one here, those of many nodes, and who works where."""

from __future__ import annotations

import json
import sys

import click

from hpo.cli.exit_codes import exit_codes
from hpo.cli.options import (
    checkpoint_option,
    checkpoints_option,
    device_option,
    forever_option,
    lease_option,
    retry_option,
    stall_option,
    storage_option,
    studies_argument,
    track_option,
)
from hpo.cli.terminal import display, log_to_stderr, say


@click.command()
@studies_argument
@storage_option
@device_option
@lease_option
@checkpoint_option
@checkpoints_option
@forever_option
@retry_option
@stall_option
@track_option
@exit_codes
def worker(
    studies: tuple[str, ...],
    storage: str,
    device: str,
    lease: float,
    checkpoint_every: float,
    checkpoints: str | None,
    forever: bool,
    retry_for: float,
    stall: float,
    track: tuple[str, ...],
) -> None:
    """Train trials of STUDIES until nothing is left.

    If no study is named, it trains those of all studies. A worker needs the storage and nothing else. Start as many as
    you like, on as many machines as you like. SIGTERM and Ctrl-C save the trial in progress and give it back. `hpo
    start-workers` starts a worker on every GPU.
    """
    import warnings

    from hpo.process.signals import while_listening
    from hpo.storage import create_storage, open_storage
    from hpo.storage.connection.retry import Retry
    from hpo.trainers import default_trainer
    from hpo.worker import WorkerOptions, call_deadline, work

    log_to_stderr()
    warnings.simplefilter("ignore")  # of libraries, about things that a user of the worker can't change
    options = WorkerOptions(
        device=device,
        lease_seconds=lease,
        checkpoint_seconds=checkpoint_every,
        checkpoints_url=checkpoints,
        stall_seconds=stall,
        track=track,
        forever=forever,
    )
    default_trainer().load()  # before signals are listened to, which end the process at once until then
    with while_listening() as stop:
        open_or_create = create_storage if forever else open_storage
        opened = open_or_create(storage, Retry(retry_for, stop), lambda: call_deadline(stop))
        work(opened, studies, options, stop)


@click.command()
@storage_option
@click.option("--all", "everyone", is_flag=True, help="Include workers that have ended.")
@click.option("--here", is_flag=True, help="Only this machine; exit code 1 if no worker is alive on it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@exit_codes
def nodes(storage: str, everyone: bool, here: bool, as_json: bool) -> None:
    """List the workers of each machine, and their troubles.

    That is: which are alive, what each one trains, and what is wrong.
    """
    import socket

    from hpo.storage import open_storage
    from hpo.watch.nodes import nodes_json, table

    opened = open_storage(storage)
    workers = [worker for worker in opened.ledger.workers() if everyone or worker.alive or worker.troubled]
    if here:
        workers = [worker for worker in workers if worker.host == socket.gethostname()]
    if as_json:
        say(json.dumps(nodes_json(opened, workers), indent=2))
    else:
        display(table(opened, workers))
    if here and not any(worker.alive for worker in workers):
        sys.exit(1)
