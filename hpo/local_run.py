"""Workers on this machine, looked after until they have ended: for one study, or for whatever is planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event

from hpo.errors import HpoError, SickMachine, UserError
from hpo.launch import local
from hpo.launch.local import LocalWorker, Placement, RelayedWorker
from hpo.launch.supervise import KINDS, Ended, exit_code, supervise
from hpo.service import find_study, is_done
from hpo.storage import Storage
from hpo.storage.rows import ArmProgress

RETRY_SECONDS = 900.0
"""How long the database may be away."""


def run_locally(
    storage: Storage,
    name: str,
    placements: Sequence[Placement],
    environment: Mapping[str, str],
    logs: Path,
    show: Callable[[list[ArmProgress]], None],
    say: Callable[[str], None],
    interrupted: Event,
) -> bool:
    """Run a study with a worker for each placement; True when it is done, False when it was interrupted or stopped.

    The storage tries again where the database is away, for `RETRY_SECONDS`, as the workers do.

    Raises:
        HpoError: the workers have left before; its kind and its words are those of a worker.
    """
    row, study = find_study(storage, name)

    def start(number: int) -> LocalWorker:
        return local.start([name], placements[number], environment, logs / f"worker-{number}.log")

    def look() -> None:
        show(storage.ledger.progress(row.id, study.objective.goal))

    def goes_on() -> bool:
        return storage.ledger.study(name).state == "running"

    ended = supervise(start, len(placements), say, interrupted, look, goes_on=goes_on)
    if interrupted.is_set():
        return False
    if is_done(storage, row, study):
        look()
        return True
    if not goes_on():
        return False
    raise _failure(ended, logs)


def run_workers(
    studies: Sequence[str],
    placements: Sequence[Placement],
    environment: Mapping[str, str],
    say: Callable[[str], None],
    stop: Event,
    *,
    forever: bool,
) -> None:
    """Run a worker for each placement until nothing is left or `stop` is set; `say` gets each line that they write.

    Raises:
        HpoError: not all of them ended well.
    """

    def start(number: int) -> RelayedWorker:
        return local.start_relayed(studies, placements[number], environment, lambda line: say(f"[{number}] {line}"))

    ended = supervise(start, len(placements), say, stop)
    code = exit_code(ended, forever=forever)
    if code != 0:
        raise KINDS[code](f"the workers ended with: {', '.join(map(str, ended))}")


def _failure(ended: Sequence[Ended], logs: Path) -> HpoError:
    """Why the workers have left, in the words of the one that matters most."""
    code = exit_code(ended)
    kind = KINDS.get(code, HpoError)
    if kind in (UserError, SickMachine):
        return kind(next(worker.said for worker in ended if worker.code == code))
    how = "\n".join(f"[{number}] {worker}" for number, worker in enumerate(ended))
    return kind(f"the workers have ended, but the study is not done:\n{how}", hint=f"their logs: {logs}")
