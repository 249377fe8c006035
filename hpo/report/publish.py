"""The verdict inside optuna-dashboard: who opens only that finds a note, the figures and the files at every arm.

They belong to the Optuna study of an arm's search phase. Publishing again replaces what was published before, so there
is always one note, one figure per id and one file per name. Nothing published names the storage.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna_dashboard import get_note, save_note, save_plotly_graph_object
from optuna_dashboard.artifact import get_artifact_path

from hpo.report.numbers import NONE, change, count, is_accuracy, mean, number
from hpo.report.results import ArmResult, Report
from hpo.report.text import escape, markdown
from hpo.storage import Storage
from hpo.storage.optuna_studies import study_name
from hpo.study import StudySpec

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 450
"""Of a figure's card in the dashboard, in pixels."""
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
    baseline; the note of every arm links to them. Arms whose Optuna study someone has deleted are left out.
    """
    there = {found.study_name for found in storage.optuna.get_all_studies()}
    arms = {arm: name for arm in study.arms if (name := study_name(study.name, arm, "search")) in there}
    opened = {arm: optuna.load_study(study_name=name, storage=storage.optuna) for arm, name in arms.items()}
    links: dict[str, str] = {}
    if artifacts is not None and report.baseline in opened:
        links = _upload(opened[report.baseline], files, artifacts)
    for result in report.arms:
        if result.name not in opened:
            continue
        body = note(report, result, links)
        if get_note(opened[result.name]) != body:
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


def note(report: Report, arm: ArmResult, links: Mapping[str, str]) -> str:
    """What stands at an arm: its own result, the files, and the whole verdict; `links` is file name -> address."""
    metric = report.metric
    measured = arm.test if metric == "test_accuracy" else arm.validation
    what = metric.replace("_", " ") + (", percent" if is_accuracy(metric) else "")
    own = {
        what: f"{mean(measured, metric)} ({count(measured.n, 'seed')})" if measured else NONE,
        "search best, optimistic": f"{number(arm.search_best, 'validation_accuracy')} of {arm.tried} tried",
    }
    if arm.name != report.baseline:
        own[f"difference to {escape(report.baseline)}"] = change(arm.difference, metric)
    lines = [f"# {escape(arm.name)}", "", f"| arm | {escape(arm.name)} |", "| --- | ---: |"]
    lines += [f"| {name} | {value} |" for name, value in own.items()]
    if links:
        lines += ["", "Files: " + ", ".join(f"[{escape(name)}]({address})" for name, address in links.items())]
    return "\n".join([*lines, "", markdown(report), "", "*The next `hpo report` replaces this note.*", ""])


def _upload(study: optuna.Study, files: Sequence[Path], artifacts: Path) -> dict[str, str]:
    """File name -> address; a file of a name that is there already replaces its content and keeps the address."""
    artifacts.mkdir(parents=True, exist_ok=True)
    store = FileSystemArtifactStore(artifacts)
    attributes = study._storage.get_study_system_attrs(study._study_id)
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
