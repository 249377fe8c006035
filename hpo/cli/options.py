"""The options that several verbs share."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.completion import arms, studies
from hpo.cli.terminal import say

DEFAULT_STORAGE = "sqlite:///hpo.db"
REPORTS = Path("hpo-reports")
DEFAULT_ARTIFACTS = REPORTS / "artifacts"


def warn_of_password(context: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Says that a secret on a command line is public on the machine."""
    from click.core import ParameterSource

    from hpo.words.masking import masked

    if context.resilient_parsing:
        return url  # a shell completes the line, and nothing is run yet
    given = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    if given and url is not None and masked(url) != url:
        say("warning: other users of this machine can see a password on the command line", err=True)
        say(f"hint: set {parameter.envvar}; Postgres takes PGPASSWORD and a PGPASSFILE too", err=True)
    return url


study_argument = click.argument("study", shell_complete=studies)
studies_argument = click.argument("studies", nargs=-1, shell_complete=studies)
some_studies_argument = click.argument("studies", metavar="STUDY...", nargs=-1, required=True, shell_complete=studies)
arm_option = click.option(
    "--arm",
    metavar="NAME",
    shell_complete=arms,
    help="The arm whose winner you want.  [default: the arm that is best on validation]",
)
storage_option = click.option(
    "--storage",
    envvar="HPO_STORAGE",
    default=DEFAULT_STORAGE,
    metavar="URL",
    callback=warn_of_password,
    help="Where studies are kept; HPO_STORAGE sets it too.",
)
device_option = click.option(
    "--device", default="auto", help="auto (the first GPU, else the CPU), cpu, cuda, cuda:0, …"
)
lease_option = click.option(
    "--lease",
    default=60.0,
    type=click.FloatRange(1.0),
    metavar="SECONDS",
    help="How long a trial stays with a worker that is not heard of.",
)
checkpoint_option = click.option(
    "--checkpoint-every",
    default=30.0,
    type=click.FloatRange(0.0),
    metavar="SECONDS",
    help="How often checkpoints are saved, at ends of epochs: a killed worker loses no more than that.",
)
checkpoints_option = click.option(
    "--checkpoints",
    envvar="HPO_CHECKPOINTS",
    metavar="URL",
    callback=warn_of_password,
    help="Where checkpoints are kept: a folder that all workers share, s3://…; HPO_CHECKPOINTS sets it too.  "
    "[default: in the storage]",
)
forever_option = click.option(
    "--forever", is_flag=True, help="Keep running and wait for new studies when nothing is left."
)
retry_option = click.option(
    "--retry-for",
    default=900.0,
    type=click.FloatRange(0.0),
    metavar="SECONDS",
    help="How long the database may be away.",
)
stall_option = click.option(
    "--stall",
    default=600.0,
    type=click.FloatRange(1.0),
    metavar="SECONDS",
    help="How long a trial may go without any progress, such as an optimizer step, before the worker gives it back.",
)
per_device_option = click.option(
    "--workers-per-device",
    "per_device",
    default=1,
    type=click.IntRange(1, 256),
    metavar="K",
    help="Workers on each GPU, or on the CPU of a machine without one.",
)
per_worker_option = click.option(
    "--devices-per-worker",
    "per_worker",
    default=1,
    type=click.IntRange(1, 256),
    metavar="N",
    help="GPUs of each worker, for programs that train on several.",
)
track_option = click.option(
    "--track",
    multiple=True,
    metavar="KIND[:WHERE]",
    help="Log every trial to a tracker as well: tensorboard:DIR, mlflow[:URI], wandb[:DIR] (offline), trackio.",
)
env_option = click.option(
    "--env", "names", multiple=True, metavar="NAME", help="Pass this environment variable to the workers as well."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print what would be run, with passwords hidden, and run nothing."
)
