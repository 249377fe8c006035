"""The verdict inside optuna-dashboard: who opens only that finds a note, the figures and the files at every arm.

They belong to the Optuna study of an arm's search phase. Publishing again replaces what was published before, so there
is always one figure per id and one file per name. A note is shared with the people who write there: ours stands between
two marks, and what stands around them is theirs and stays. Nothing published names the storage.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna_dashboard import get_note, save_note, save_plotly_graph_object
from optuna_dashboard.artifact import get_artifact_path

from hpo.optuna_private import place_of
from hpo.report.render.note import note, with_ours
from hpo.report.verdict.results import Report
from hpo.storage import Storage
from hpo.storage.connection.sqlstate import is_database_error, reason, sqlstate
from hpo.storage.optuna.studies import study_name
from hpo.study import StudySpec

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

log = logging.getLogger(__name__)

MAY_ONLY_READ = ("42501", "25006")
"""The SQLSTATEs of a role and of a session that may only read."""
SQLITE_MAY_ONLY_READ = "attempt to write a readonly database"
HEIGHT = 450
"""The height of a figure's card in the dashboard, in pixels."""
ARTIFACT = "artifacts:"
"""Begins the system attribute of an Optuna study that describes an uploaded file."""


def publish(
    storage: Storage,
    study: StudySpec,
    report: Report,
    figures: Mapping[str, Figure],
    files: Sequence[Path] = (),
    artifacts: Path | None = None,
) -> None:
    """Put a note, the figures (by ids of letters, digits, `-` and `_`) and the files where the dashboard shows them.

    The files are copied into the folder `artifacts`, which the dashboard has to serve, once, and listed at the
    baseline; the note of every arm links to them. Arms whose Optuna study someone has deleted are left out. Who may
    not write there is told so, and nothing fails.
    """
    try:
        _publish(storage, study, report, figures, files, artifacts)
    except OSError as error:
        log.warning("not shown in the dashboard: %s: %s", error.filename, error.strerror)
    except Exception as error:
        if not _may_not_write(error):
            raise
        log.warning("not shown in the dashboard: %s", reason(error))


def _may_not_write(error: Exception) -> bool:
    if not is_database_error(error):
        return False
    return sqlstate(error) in MAY_ONLY_READ or reason(error) == SQLITE_MAY_ONLY_READ


def _publish(
    storage: Storage,
    study: StudySpec,
    report: Report,
    figures: Mapping[str, Figure],
    files: Sequence[Path],
    artifacts: Path | None,
) -> None:
    there = {found.study_name for found in storage.optuna.get_all_studies()}
    arms = {arm: name for arm in study.arms if (name := study_name(study.name, arm, "search")) in there}
    opened = {arm: optuna.load_study(study_name=name, storage=storage.optuna) for arm, name in arms.items()}
    links: dict[str, str] = {}
    first = next(arm.name for arm in report.arms if arm.is_baseline)
    if artifacts is not None and first in opened:
        links = _upload(opened[first], files, artifacts)
    for result in report.arms:
        if result.name not in opened:
            continue
        found = get_note(opened[result.name])
        body = with_ours(found, note(report, result, links))
        if found != body:
            save_note(opened[result.name], body)
        for name, figure in figures.items():
            save_plotly_graph_object(opened[result.name], _fitted(figure), graph_object_id=name)


def _fitted(figure: Figure) -> Figure:
    """A copy that fits into the dashboard's card, which cuts off what is higher and has room above the panels."""
    fitted = copy.deepcopy(figure)
    fitted.update_layout(
        height=HEIGHT,
        margin={"l": 60, "r": 20, "t": 100, "b": 50},
        title={"y": 0.97, "yanchor": "top"},
        legend={"orientation": "h", "x": 0.0, "y": 0.91, "yref": "container", "yanchor": "top"},
    )
    return fitted


def _upload(study: optuna.Study, files: Sequence[Path], artifacts: Path) -> dict[str, str]:
    """File name -> address; a file of a name that is there already replaces its content and keeps the address."""
    artifacts.mkdir(parents=True, exist_ok=True)
    store = FileSystemArtifactStore(artifacts)
    storage, study_id = place_of(study)
    attributes = storage.get_study_system_attrs(study_id)
    described = [json.loads(text) for name, text in attributes.items() if name.startswith(ARTIFACT)]
    known = {each["filename"]: each["artifact_id"] for each in described if each is not None}  # None: deleted
    links = {}
    for path in files:
        artifact = known.get(path.name)
        if artifact is None:
            artifact = upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=study)
        else:
            with path.open("rb") as content:
                store.write(artifact, content)
        links[path.name] = get_artifact_path(study, artifact)
    return links
