"""A study that is judged by a loss: whatever compares trials takes the lowest for the best."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import optuna
import pytest
from click.testing import CliRunner, Result
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpo.cli import cli
from hpo.evidence.ranking import ranking
from hpo.service import begin_study, repair_study, verdict
from hpo.storage import Storage, create_storage
from hpo.storage.optuna.trials import Trials
from hpo.storage.rows import Cell, StudyRow
from tests.integration.helpers import make_study, work_here

WILD = 1e7
ARMS = {
    "grid": {"search": {"lr.peak": {"values": [0.01, 0.1, WILD]}}},
    "tpe": {
        "sampler": {"kind": "tpe", "startup": 3},
        "search": {"lr.peak": {"low": 1e-3, "high": 1e6, "log": True}},
        "budget": {"epochs": 60},
    },
}
STUDY = make_study(
    ARMS,
    trial={"epochs": 4, "lr": {"kind": "constant", "peak": 0.1}},
    metric="validation_loss",
    pruner={"kind": "median", "startup": 2},
    confirm={"seeds": 2},
    audit=1,
    repeats=2,
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """With the study run to its end."""
    opened = create_storage(f"sqlite:///{tmp_path_factory.mktemp('by_loss') / 'hpo.db'}")
    begin_study(opened, STUDY)
    work_here(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def row(storage: Storage) -> StudyRow:
    """The study."""
    return storage.ledger.study(STUDY.name)


@pytest.fixture(scope="module")
def cells(storage: Storage, row: StudyRow) -> list[Cell]:
    """Its cells."""
    return storage.ledger.cells(row.id)


def run(storage: Storage, *arguments: str) -> Result:
    """The command in this process."""
    url = storage.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, arguments, env={"HPO_STORAGE": url})


def test_scores(cells: list[Cell]) -> None:
    """The loss after the last epoch; a trial that diverged has none, and some did."""
    assert {"done"} == {cell.state for cell in cells}
    ended = {cell.ended for cell in cells}
    assert {"finished", "pruned", "diverged"} == ended
    assert all((cell.score is None) == (cell.ended == "diverged") for cell in cells)
    assert all(cell.score == cell.metrics.get("validation_loss") for cell in cells if cell.ended != "diverged")


def test_the_best_is_confirmed(cells: list[Cell]) -> None:
    """The configuration of the lowest mean loss, and never one that diverged."""
    for arm in ARMS:
        own = [cell for cell in cells if cell.arm == arm]
        searched = [cell for cell in own if cell.phase == "search" and cell.ended == "finished"]
        [best] = {str(cell.params) for cell in own if cell.phase == "confirm"}
        assert best == str(ranking(STUDY.objective, own)[0].params)
        if arm == "tpe":
            assert best == str(min(searched, key=lambda cell: cell.score or 0.0).params)


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("validation_loss", StudyDirection.MINIMIZE), ("validation_accuracy", StudyDirection.MAXIMIZE)],
)
def test_what_samplers_and_pruners_are_told(sqlite_url: str, metric: str, direction: StudyDirection) -> None:
    """The study of the trial that they work on has the metric's direction, as the stored one has."""
    opened = create_storage(sqlite_url)
    study = make_study(ARMS, metric=metric)
    begin_study(opened, study)
    for _ in range(8):
        lease = opened.ledger.claim("a worker", 60.0)
        assert lease is not None
        trial, _ = Trials(opened, study).begin(lease)
        assert direction == trial.study.direction
    opened.close()


def test_the_worse_are_pruned(storage: Storage, row: StudyRow, cells: list[Cell]) -> None:
    """Those whose loss is above the median of the finished ones at that epoch, and never the lowest."""
    points = {(point.cell_id, point.at): point.metrics["validation_loss"] for point in storage.ledger.curves(row.id)}
    searched = [cell for cell in cells if (cell.arm, cell.phase) == ("tpe", "search")]
    finished = [cell for cell in searched if cell.ended == "finished"]
    pruned = [cell for cell in searched if cell.ended == "pruned"]
    assert pruned
    for cell in pruned:
        others = [points[other.id, cell.epochs] for other in finished if (other.finished or 0) < (cell.finished or 0)]
        reached = min(points[cell.id, epoch] or WILD for epoch in range(1, cell.epochs + 1))
        assert reached > median(value for value in others if value is not None)


def test_optuna_s_side(storage: Storage, cells: list[Cell]) -> None:
    """Its studies minimize, their best trial is ours, and what diverged is neither complete nor better than others."""
    url = storage.url.render_as_string(hide_password=False)
    found = optuna.load_study(study_name=f"{STUDY.name}/tpe", storage=url)
    assert (StudyDirection.MINIMIZE, ["validation loss"]) == (found.direction, found.metric_names)
    by_cell = {trial.user_attrs["cell"]: trial for trial in found.trials}
    own = [cell for cell in cells if (cell.arm, cell.phase) == ("tpe", "search")]
    for cell in own:
        trial = by_cell[cell.id]
        complete = cell.ended == "finished"
        assert (TrialState.COMPLETE if complete else TrialState.PRUNED) == trial.state
        if complete:
            assert cell.score == trial.value
        if cell.ended == "diverged":
            assert float("inf") == trial.intermediate_values[max(trial.intermediate_values)]
    assert min(cell.score for cell in own if cell.ended == "finished" and cell.score is not None) == found.best_value


def test_what_people_see(storage: Storage, tmp_path: Path) -> None:
    """Status and report name the loss, show its lowest value, and draw its figures."""
    shown = json.loads(run(storage, "status", "--json").stdout)["studies"][0]["arms"]
    report = verdict(storage, STUDY.name)
    best = {arm["arm"]: arm["best"] for arm in shown if arm["phase"] == "search"}
    assert best == {arm.name: pytest.approx(arm.search_best) for arm in report.arms}
    written = run(storage, "report", STUDY.name, "--full", "-o", str(tmp_path))
    assert 0 == written.exit_code, written.output
    assert "has the lowest validation loss after" in " ".join(written.stdout.split())
    page = (tmp_path / f"{STUDY.name}.html").read_text()
    assert "Losses, of which the lowest is best, and differences of test loss" in page
    assert (tmp_path / "figures" / "loss-by-epochs-spent.svg").exists()


def test_made_again(storage: Storage, row: StudyRow) -> None:
    """What another tool has removed is the same again, its direction too."""
    name, url = f"{STUDY.name}/tpe", storage.url.render_as_string(hide_password=False)
    before = optuna.load_study(study_name=name, storage=url)
    trials = [(t.number, t.state, t.values, t.params, t.intermediate_values) for t in before.trials]
    optuna.delete_study(study_name=name, storage=url)
    repair_study(storage, STUDY.name)
    again = optuna.load_study(study_name=name, storage=url)
    assert StudyDirection.MINIMIZE == again.direction
    assert trials == [(t.number, t.state, t.values, t.params, t.intermediate_values) for t in again.trials]
