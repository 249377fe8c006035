"""What the commands do: studies begun, found, run on this machine, compared, removed."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from sqlalchemy import Connection

import hpo
from hpo.errors import HpoError, StudyError, UserError
from hpo.launch import local
from hpo.plan import advance, first_cells
from hpo.report.compare import compare
from hpo.report.results import Report
from hpo.storage import Storage, optuna_studies
from hpo.storage.repair import Repaired, repair
from hpo.storage.retry import Retry
from hpo.storage.rows import ArmProgress, Cell, CurvePoint, StudyRow, WorkerRow
from hpo.study import StudySpec, read_study
from hpo.study_file import differences

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Between two looks at a running study."""
PATIENCE_SECONDS = 900.0
"""How long the database may be away."""
REPLACEMENTS = 3
"""How often a local worker that died is replaced."""
SHOWN_DIFFERENCES = 10


def begin_study(storage: Storage, study: StudySpec) -> StudyRow:
    """Plan a study, or find the same one already planned: launching again goes on where it was.

    Raises:
        StudyError: a study of that name is there and differs, or an Optuna study that is not ours.
        StudyFileError: the study's budgets don't fit its arms.
    """
    spec = study.model_dump_json()
    names = optuna_studies.names_of(study).values()

    def make_optuna_studies(connection: Connection, uuid: str) -> None:
        optuna_studies.refuse_foreign(connection, optuna_studies.find(connection, names).values())
        optuna_studies.make(connection, names, uuid)

    is_new = storage.ledger.add_study(study.name, spec, first_cells(study), hpo.__version__, make_optuna_studies)
    row = storage.ledger.study(study.name)
    changed = list(differences(json.loads(row.spec), json.loads(spec)))
    if changed:
        shown = "\n".join(f"  {line}" for line in changed[:SHOWN_DIFFERENCES])
        more = f"\n  and {len(changed) - SHOWN_DIFFERENCES} more" if len(changed) > SHOWN_DIFFERENCES else ""
        raise StudyError(
            f"there is a study {study.name!r} already, and it differs (stored -> given):\n{shown}{more}",
            hint=f"give this one another name (--name), or remove the other: hpo delete {study.name}",
        )
    if not is_new:
        for repaired in repair(storage.database, row.id, row.uuid, study):
            log.warning("%s", repaired)
    if row.state == "stopped":
        storage.ledger.set_state(row.id, "running")
    return row


def find_study(storage: Storage, name: str) -> tuple[StudyRow, StudySpec]:
    """The study called `name`.

    Raises:
        StudyError: there is none.
    """
    row = storage.ledger.study(name)
    return row, read_study(row.name, row.spec, row.hpo_version)


def run_locally(
    storage: Storage,
    name: str,
    devices: Sequence[str],
    options: Sequence[str],
    show: Callable[[list[ArmProgress]], None],
    interrupted: Event,
) -> bool:
    """Run a study with one worker per entry of `devices`; True when it is done, False when interrupted.

    Raises:
        UserError: the workers can't work here, with what the first of them said.
        HpoError: they keep dying.
    """
    row, study = find_study(storage, name)
    patience = Retry(PATIENCE_SECONDS, interrupted)
    url = storage.url.render_as_string(hide_password=False)
    folder = Path(tempfile.mkdtemp(prefix=f"hpo-{name}-"))

    def start(place: int) -> local.LocalWorker:
        log = folder / f"worker-{place}.log"
        return local.start(url, [name], log, [*options, f"--device={devices[place]}"])

    running = [start(place) for place in range(len(devices))]
    replaced = 0
    try:
        while True:
            show(patience(lambda: storage.ledger.progress(row.id)))
            for place, worker in enumerate(running):
                code = worker.process.poll()
                if code in (None, 0):
                    continue
                said = _last_words(worker.log)
                if code == UserError.exit_code:
                    raise UserError(said)
                if replaced == REPLACEMENTS * len(devices):
                    raise HpoError(f"the workers keep dying, the last one with exit code {code}:\n{said}")
                replaced += 1
                running[place] = start(place)
            if all(worker.process.poll() == 0 for worker in running):
                if patience(lambda: is_done(storage, row, study)):
                    show(patience(lambda: storage.ledger.progress(row.id)))
                    return True
                if patience(lambda: storage.ledger.study(name)).state != "running":
                    return False
                raise HpoError(f"the workers have left and the study is not done; what they said: {folder}")
            if interrupted.wait(LOOK_SECONDS):
                return False
    finally:
        local.stop(running)


def is_done(storage: Storage, row: StudyRow, study: StudySpec) -> bool:
    """Whether nothing of the study is left to run."""
    open_cells = any(arm.planned or arm.leased for arm in storage.ledger.progress(row.id))
    return not open_cells and advance(storage, row, study) == 0


@dataclass(frozen=True, slots=True)
class Findings:
    """A study as it stood at one moment: what was read of it, and the comparison of its arms."""

    row: StudyRow
    study: StudySpec
    cells: list[Cell]
    curves: list[CurvePoint]
    workers: list[WorkerRow]
    report: Report


def findings(storage: Storage, name: str) -> Findings:
    """Read a study and compare its arms, as far as it has been run."""
    row, study = find_study(storage, name)
    ledger = storage.ledger
    cells, curves, workers = ledger.cells(row.id), ledger.curves(row.id), ledger.workers()
    devices = {worker.id: worker.device for worker in workers}
    return Findings(row, study, cells, curves, workers, compare(study, cells, curves, devices))


def verdict(storage: Storage, name: str) -> Report:
    """The comparison of the study's arms as far as it has been run."""
    return findings(storage, name).report


def write_report(storage: Storage, found: Findings, folder: Path, artifacts: Path | None) -> list[Path]:
    """Write the report into `folder`, the page first, and put it into the dashboard if `artifacts` is given.

    `artifacts` is the folder from which the dashboard serves files.
    """
    from hpo.report import folder as report_folder  # matplotlib and plotly: slow to import
    from hpo.report.context import context
    from hpo.report.figures import figures
    from hpo.report.plotly_figures import plotly_figure
    from hpo.report.publish import publish

    study, cells, curves, report = found.study, found.cells, found.curves, found.report
    drawn = figures(study, cells, curves, report)
    about = context(study, found.row, cells, found.workers)
    paths = report_folder.write(folder, study, cells, curves, report, drawn, about)
    if artifacts is not None:
        plotted = {figure.id: plotly_figure(figure) for figure in drawn}
        publish(storage, study, report, plotted, paths[:1], artifacts)
    return paths


def delete_study(storage: Storage, name: str) -> None:
    """Remove a study, its results and its Optuna studies, all of it or nothing; workers that are on it drop it."""
    row = storage.ledger.study(name)
    names = optuna_studies.names_in(row.name, row.spec)
    storage.ledger.delete_study(
        row.id,
        lock=lambda connection: optuna_studies.lock(connection, names),
        also=lambda connection: optuna_studies.remove(connection, names, row.uuid),
    )


def repair_study(storage: Storage, name: str) -> list[Repaired]:
    """Make again from the ledger what another tool has removed of a study's Optuna studies."""
    row, study = find_study(storage, name)
    return repair(storage.optuna.database, row.id, row.uuid, study)


def _last_words(log: Path) -> str:
    """The error that a worker ended with, without the tag that the command line puts before it."""
    lines = log.read_text(errors="replace").splitlines()
    start = max((number for number, line in enumerate(lines) if line.startswith("error: ")), default=len(lines) - 5)
    return "\n".join(lines[max(start, 0) :]).removeprefix("error: ")
