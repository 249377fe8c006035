"""What the commands do: studies begun, found, compared, removed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from sqlalchemy import Connection

import hpo
from hpo.errors import StudyError, UserError
from hpo.plan import advance, first_cells
from hpo.report.render.files import replace
from hpo.report.verdict.compare import compare
from hpo.report.verdict.results import Report
from hpo.report.verdict.winner import winner
from hpo.storage import Storage
from hpo.storage.checkpoints import UrlCheckpoints, open_checkpoints
from hpo.storage.optuna import studies as optuna_studies
from hpo.storage.optuna.repair import Repaired, repair
from hpo.storage.parts import Parts
from hpo.storage.rows import Cell, CurvePoint, StudyRow, WorkerRow
from hpo.storage.states import CONFIRM
from hpo.study import Extension, StudySpec, read_study
from hpo.study.checks.budgets import budget_mistakes
from hpo.study.checks.limits import what_the_database_takes
from hpo.study.corrections import corrected, seeded_as
from hpo.study.extensions import extended, extension_to
from hpo.study.file import differences
from hpo.study.rehearsed import Rehearsal, read_rehearsal

log = logging.getLogger(__name__)

SHOWN_DIFFERENCES = 10


def begin_study(storage: Storage, study: StudySpec, rehearsal: Rehearsal | None = None) -> StudyRow:
    """Plan a study, or find the same one already planned: launching again goes on where it was.

    What a `rehearsal` of its trial has found is kept with a study that is planned now.

    Raises:
        StudyError: a study of that name is there and differs, was stopped, or has failed; or an Optuna study of one of
            its names is not ours.
    """
    spec = study.model_dump_json()
    names, metric = optuna_studies.names_of(study), study.objective

    def make_optuna_studies(connection: Connection, uuid: str) -> None:
        optuna_studies.refuse_foreign(connection, optuna_studies.find(connection, names).values(), metric)
        optuna_studies.make(connection, names, uuid, metric)

    found = None if rehearsal is None else rehearsal.model_dump_json()
    cells = first_cells(study)
    is_new = storage.ledger.add_study(study.name, spec, cells, hpo.__version__, make_optuna_studies, found)
    row = storage.ledger.study(study.name)
    stored = read_study(row.name, row.spec, row.hpo_version)
    given = reduce(extended, stored.extensions, study) if not study.extensions else study
    given = seeded_as(stored, given)
    kept = corrected(stored, given)
    changed = list(differences(json.loads(kept.model_dump_json()), json.loads(given.model_dump_json())))
    if changed:
        shown = "\n".join(f"  {line}" for line in changed[:SHOWN_DIFFERENCES])
        more = f"\n  and {len(changed) - SHOWN_DIFFERENCES} more" if len(changed) > SHOWN_DIFFERENCES else ""
        by = extension_to(kept, given)
        to_extend = "" if by is None else _to_extend(study.name, by)
        raise StudyError(
            f"there is already a study {study.name!r}, and it differs (stored -> given):\n{shown}{more}",
            hint=f"{to_extend}give this one another name (--name), or remove the other: hpo delete {study.name}",
        )
    if kept != stored:
        storage.ledger.correct_study(row.id, kept.model_dump_json())
        log.info("%s: its texts were updated from this file", row.name)
    if given != study:
        log.info("%s was extended (hpo extend) and continues in that form", row.name)
    row.check_open()
    if not is_new:
        for repaired in repair(storage.database, row.id, row.uuid, study):
            log.warning("%s", repaired)
    return row


def _to_extend(name: str, by: Extension) -> str:
    """The beginning of a hint: how a study gets what a changed file gives it."""
    options = (("--trials", by.more_trials), ("--epochs", by.more_epochs), ("--seeds", by.more_seeds))
    given = " ".join(f"{option} {more}" for option, more in options if more)
    # An extension is laid over the file at each launch, so that with the changed file it would count twice.
    return f"to go on with more: hpo extend {name} {given}, then hpo worker {name}, or launch the file as it was; else "


def refuse_unfit(storage: Storage, study: StudySpec, rehearsal: Rehearsal | None) -> None:
    """See that nothing bad was found of the trial of a study that is to be planned.

    Raises:
        StudyError: something was.
    """
    if rehearsal is None or rehearsal.is_fit or storage.ledger.studies([study.name]):
        return
    bad = "\n".join(f"  {finding.line}" for finding in rehearsal.of("bad"))
    raise StudyError(
        f"results would be misleading; the rehearsal of {rehearsal.arm} found:\n{bad}",
        hint="fix the program and rehearse it again, or launch it with --despite-rehearsal; reports will say so",
    )


def extend_study(
    storage: Storage, name: str, trials: int | None = None, epochs: int | None = None, seeds: int | None = None
) -> int:
    """Give a study more to do, also one that is finished; returns how many of its trials are planned or changed.

    Raises:
        StudyError: it was stopped or has failed, can't be extended so, or another process has just changed it.
    """
    row, study = find_study(storage, name)
    row.check_open()
    progress = storage.ledger.progress(row.id)
    done, planned = sum(arm.done for arm in progress), sum(arm.total for arm in progress)
    by = Extension(more_trials=trials, more_epochs=epochs, more_seeds=seeds, when_done=done, of_planned=planned)
    more = extended(study, by)
    if mistakes := [*budget_mistakes(more), *what_the_database_takes(more)]:
        raise StudyError("\n".join(mistakes))
    if not storage.ledger.extend_study(row.id, row.spec, more.model_dump_json()):
        raise StudyError(f"{name} was changed by another process just now", hint="give the same command again")
    storage.ledger.plan_again(row.id)
    return advance(storage, row, more) or 0


def stop_study(storage: Storage, name: str) -> str:
    """Let the workers of a study save and let go; returns the state that it is in now."""
    row = storage.ledger.study(name)
    if row.state == "running":
        storage.ledger.set_state(row.id, "stopped")
    return storage.ledger.study(name).state


def resume_study(storage: Storage, name: str) -> str:
    """Let workers claim trials of a stopped study again; returns the state that it is in now.

    Raises:
        StudyError: it has failed, which is not mended by going on.
    """
    row = storage.ledger.study(name)
    if row.state == "stopped":
        storage.ledger.set_state(row.id, "running")
        storage.ledger.plan_again(row.id)
    else:
        row.check_open()
    return storage.ledger.study(name).state


def retry_failed(storage: Storage, name: str) -> int:
    """Plan the failed trials of a study again, and withdraw what follows a search that isn't complete any more.

    Returns how many trials are planned again.
    """
    row, study = find_study(storage, name)
    planned = storage.ledger.retry_failed(row.id)
    storage.ledger.plan_again(row.id)
    advance(storage, row, study)
    return planned


def find_study(storage: Storage, name: str) -> tuple[StudyRow, StudySpec]:
    """The study called `name`.

    Raises:
        StudyError: there is none.
    """
    row = storage.ledger.study(name)
    return row, read_study(row.name, row.spec, row.hpo_version)


def is_done(storage: Storage, row: StudyRow, study: StudySpec) -> bool:
    """Whether nothing of the study is left to run."""
    anything_open = any(arm.open for arm in storage.ledger.progress(row.id))
    return not anything_open and advance(storage, row, study) == 0


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
    report = compare(study, cells, curves, devices, row.reason, read_rehearsal(row.rehearsal))
    return Findings(row, study, cells, curves, workers, report)


def verdict(storage: Storage, name: str) -> Report:
    """The comparison of the study's arms as far as it has been run."""
    return findings(storage, name).report


def write_report(storage: Storage, found: Findings, folder: Path, artifacts: Path | None) -> list[Path]:
    """Write the report into `folder`, the page first, and put it into the dashboard if `artifacts` is given.

    `artifacts` is the folder from which the dashboard serves files.
    """
    from hpo.report.figures import figures
    from hpo.report.render import folder as report_folder  # matplotlib and plotly: slow to import
    from hpo.report.render.context import context
    from hpo.report.render.plotly_figures import plotly_figure
    from hpo.report.render.publish import publish

    study, cells, curves, report = found.study, found.cells, found.curves, found.report
    drawn = figures(study, cells, curves, report)
    about = context(study, found.row, cells, found.workers)
    paths = report_folder.write(folder, study, cells, curves, report, drawn, about)
    if artifacts is not None:
        plotted = {figure.id: plotly_figure(figure) for figure in drawn}
        publish(storage, study, report, plotted, paths[:1], artifacts)
    return paths


def write_reports(storage: Storage, found: Sequence[Findings], folder: Path, artifacts: Path | None) -> list[Path]:
    """Write each report as `write_report` does, into a folder of its own in `folder`; returns the paths, first that of
    an index of their verdicts."""
    from hpo.report.render.index import INDEX, index

    paths = [path for each in found for path in write_report(storage, each, folder / each.row.name, artifacts)]
    return [replace(folder / INDEX, index([each.report for each in found]).encode()), *paths]


def fetch_weights(
    storage: Storage,
    name: str,
    arm: str | None,
    seed: int | None,
    output: Path | None,
    checkpoints: str | None,
    *,
    force: bool = False,
) -> Path:
    """Write the weights of the trial that represents `arm`, or the best one, into a file; returns its path.

    Raises:
        StudyError: there is no such trial, or its weights were not kept.
        UserError: the file is there already.
        CheckpointError: they can't be read where they are kept.
    """
    found = findings(storage, name)
    won = winner(found.study, found.cells, found.report, arm)
    seeds = {cell.seed: cell for cell in won.cells if cell.phase == CONFIRM and cell.ended == "finished"}
    if not seeds:
        raise StudyError(
            f"{name}: no confirm trial of {won.arm} has finished", hint="only confirm trials keep their weights"
        )
    cell = seeds.get(min(seeds) if seed is None else seed)
    if cell is None:
        raise StudyError(
            f"{name}: {won.arm} has no confirm seed {seed}; its seeds are {', '.join(map(str, sorted(seeds)))}"
        )
    kept = storage.ledger.weights(cell.id)
    if kept is None:
        raise StudyError(
            f"{name}: the weights of {won.arm} were not kept",
            hint="set keep_weights = true in [protocol] before the study is launched",
        )
    place = open_checkpoints(checkpoints, Parts(storage.database), storage.ledger.database_id())
    path = output or Path(f"{name}-{won.arm}.pt")
    if path.exists() and not force:
        raise UserError(f"{path} already exists", hint="overwrite it with --force, or give another path with -o")
    about = {"study": name, "arm": won.arm, "seed": cell.seed, "epochs": cell.epochs, "metrics": dict(cell.metrics)}
    return replace(path, found.study.trainer.packed(place.fetch(kept), won.trial, about))


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
    return repair(storage.database, row.id, row.uuid, study)


def accept_images(storage: Storage, name: str) -> None:
    """Forget on which images a study began; the next worker says so anew.

    Raises:
        StudyError: trials have been trained on them.
    """
    row = storage.ledger.study(name)
    trained = sum(arm.epochs > 0 for arm in storage.ledger.progress(row.id))
    if trained:
        raise StudyError(
            f"{name}: trials have already been trained on the data that it started with, so it can't be changed",
            hint=f"remove the study with hpo delete {name}, then launch it again",
        )
    storage.ledger.forget_images(row.id)


def clean(storage: Storage, url: str) -> Iterator[str]:
    """Remove the checkpoint files of a storage at `url` that nothing refers to; yields their paths.

    Raises:
        UserError: the URL can't be used.
    """
    files = UrlCheckpoints(url, Parts(storage.database), storage.ledger.database_id())
    # Before what is kept: a cell that is claimed meanwhile keeps the file that it began from.
    in_use = storage.ledger.held_cells()
    return files.sweep(storage.ledger.kept_elsewhere(), in_use)
