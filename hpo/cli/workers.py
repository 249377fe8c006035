"""Verbs on workers."""

from __future__ import annotations

import sys

import click

from hpo.cli.options import checkpoint_option, checkpoints_option, device_option, lease_option, storage_option
from hpo.cli.terminal import told


@click.command()
@click.argument("studies", nargs=-1)
@storage_option
@device_option
@lease_option
@checkpoint_option
@checkpoints_option
@click.option("--forever", is_flag=True, help="Wait for further studies when nothing is left.")
@click.option(
    "--patience",
    default=900.0,
    type=click.FloatRange(0.0),
    metavar="SECONDS",
    help="How long the database may be away.",
)
@told
def worker(
    studies: tuple[str, ...],
    storage: str,
    device: str,
    lease: float,
    checkpoint_every: float,
    checkpoints: str | None,
    forever: bool,
    patience: float,
) -> None:
    """Train trials of STUDIES (all, if none is named) until nothing is left.

    Needs the storage and nothing else; start as many as you like, on as many machines. SIGTERM and Ctrl-C save the
    trial in progress and let it go.
    """
    import logging
    import warnings

    from hpo.storage import create_storage, open_storage
    from hpo.worker import WorkerOptions, work

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    warnings.simplefilter("ignore")  # of libraries, about things that a user of the worker can't change
    opened = create_storage(storage) if forever else open_storage(storage)
    options = WorkerOptions(
        device=device,
        lease_seconds=lease,
        checkpoint_seconds=checkpoint_every,
        checkpoints_url=checkpoints,
        patience_seconds=patience,
        forever=forever,
    )
    work(opened, studies, options)
