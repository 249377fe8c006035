"""A study run to its end by workers on this machine, with its progress on the terminal."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.cli.terminal import say, shown_progress
from hpo.process.signals import on_signal

if TYPE_CHECKING:
    from hpo.service import Findings
    from hpo.storage import Storage
    from hpo.study import StudySpec


def run_here(
    opened: Storage,
    study: StudySpec,
    storage: str,
    workers: int | None,
    device: str,
    options: Sequence[str] = (),
    checkpoints: str | None = None,
) -> tuple[Findings, Path]:
    """Run a study that is planned in `opened`, which `storage` names; returns what was found, and where the logs are.

    `options` are further ones of `hpo worker`.
    The process ends with exit code 130 if it is interrupted.

    Raises:
        HpoError: the study has not come to its end.
    """
    from hpo import service
    from hpo.launch import local
    from hpo.launch.request import handed_over
    from hpo.local_run import RETRY_SECONDS, run_locally
    from hpo.report.verdict.failing import not_done
    from hpo.storage import open_storage
    from hpo.storage.connection.retry import Retry

    gpus = local.gpus_for(device)
    placements = local.placements(device, gpus.names, options, workers)
    logs = Path(tempfile.mkdtemp(prefix=f"hpo-{study.name}-"))
    say(f"{study.name} in {opened}, workers: {len(placements)} on {local.where(device, gpus)}", err=True)
    say(f"logs: {logs}", err=True)
    interrupted = on_signal()
    environment = {**handed_over(storage, checkpoints), **study.trainer.allows(study.trials)}

    watched = open_storage(storage, Retry(RETRY_SECONDS, interrupted))
    with shown_progress(watched, study) as show:
        pass_on = partial(say, err=True)
        done = run_locally(watched, study.name, placements, environment, logs, show, pass_on, interrupted)
    if interrupted.is_set() and not done:
        say("stopped; to go on, give the same command again", err=True)
        sys.exit(130)
    if not done:
        raise not_done(opened.ledger.study(study.name), logs)
    return service.findings(opened, study.name), logs
