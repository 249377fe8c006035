"""Trackers as mirrors of real trials: what they show, and that one which fails, hangs or is missing stops nothing."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner

from hpo.cli import cli
from hpo.errors import UserError
from hpo.service import begin_study
from hpo.storage import Storage, open_storage
from hpo.storage.rows import Cell
from hpo.study import StudySpec
from hpo.worker.tracking import mirror, open_trackers
from hpo.worker.tracking.tracker import Run
from tests.integration.helpers import Crew, holder_after, make_study, work_here
from tests.integration.test_programs import curve

STUDY = make_study({"only": {"search": {"lr.peak": {"values": [0.03, 0.1]}}}}, confirm={"seeds": 1})


def trained(storage: Storage, *track: str) -> list[Cell]:
    """The study run to its end by a worker in this process, with these trackers."""
    row = begin_study(storage, STUDY)
    work_here(storage, track=track)
    return storage.ledger.cells(row.id)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard would draw of a folder: name -> step and value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder)).Reload()
    return {tag: [(one.step, one.value) for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_every_curve_of_every_trial(sqlite_url: str, tmp_path: Path) -> None:
    """Named by study, arm, phase and seed; all that was measured, step by step, and test at the end."""
    storage = open_storage(sqlite_url)
    cells = trained(storage, f"tensorboard:{tmp_path / 'runs'}")
    names = {f"{cell.id}-{cell.arm}-{cell.phase}-seed-{cell.seed}": cell for cell in cells}
    assert names.keys() == {folder.name for folder in (tmp_path / "runs" / STUDY.name).iterdir()}
    for name, cell in names.items():
        shown, points = scalars(tmp_path / "runs" / STUDY.name / name), curve(storage, cell)
        expected = [(at, pytest.approx(point["validation_loss"])) for at, point in enumerate(points, 1)]
        ended = [(cell.epochs, pytest.approx(cell.metrics["validation_loss"]))]
        assert [*expected, *ended] == shown["validation_loss"]
        assert (cell.phase == "confirm") == ("test_accuracy" in shown)
    storage.close()


def test_a_trial_that_is_killed_and_goes_on(postgres_url: str, tmp_path: Path, crew: Crew) -> None:
    """Steps that are trained again are shown once, and none goes back."""
    study = make_study(trial={"epochs": 600})  # long enough to be seen at work
    storage = open_storage(postgres_url)
    row = begin_study(storage, study)
    track = [f"--track=tensorboard:{tmp_path}"]
    crew.start(options=track, checkpoint_every=0.2)
    worker, _ = holder_after(storage, crew, row, 3)
    worker.process.kill()
    crew.wait()
    crew.start(options=track)
    crew.wait()
    [cell] = storage.ledger.cells(row.id)
    [folder] = (tmp_path / study.name).iterdir()
    steps = [step for step, _ in scalars(folder)["lr"]]
    assert list(range(1, cell.epochs + 1)) == steps
    storage.close()


class Broken:
    """A tracker that raises at a chosen place."""

    package = "none"

    def __init__(self, where: str) -> None:
        self._where = where
        self._hangs = Event()

    def begin(self, run: Run) -> Broken:
        if self._where == "begin":
            raise OSError("no room at postgres://me:secret@there/db")
        return self

    def log(self, at: int, metrics: Mapping[str, float]) -> None:
        if self._where == "log":
            raise ValueError("this is not what it wants")
        if self._where == "hangs":
            self._hangs.wait()

    def end(self, at: int, how: str, metrics: Mapping[str, float]) -> None:
        if self._where == "end":
            raise RuntimeError("this neither")


@pytest.mark.parametrize("where", ["begin", "log", "end", "hangs"])
def test_one_that_fails_stops_no_trial(
    storage_url: str, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, once for each trial and without a secret."""
    monkeypatch.setitem(mirror.KINDS, "broken", (__name__, "Broken"))
    monkeypatch.setattr(mirror, "LAST_SECONDS", 0.2)
    storage = open_storage(storage_url)
    with caplog.at_level(logging.WARNING):
        cells = trained(storage, f"broken:{where}")
    assert {"done"} == {cell.state for cell in cells}
    said = [record.getMessage() for record in caplog.records if "broken" in record.getMessage()]
    assert (1 if where == "hangs" else len(cells)) == len(said)
    assert "secret" not in "".join(said)
    storage.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tensorbord:x", "--track 'tensorbord': allowed are tensorboard, mlflow, wandb, trackio"),
        ("tensorboard", "--track tensorboard: it needs a folder, as in tensorboard:runs"),
        pytest.param(
            "mlflow:postgresql://me:secret@there/db",
            "--track mlflow: a command line is public: a URI with a password belongs in MLFLOW_TRACKING_URI",
            marks=pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed"),
        ),
    ],
)
def test_what_can_not_be_meant(sqlite_url: str, given: str, said: str) -> None:
    """Told before anything is claimed, with exit code 2."""
    open_storage(sqlite_url).close()
    answer = CliRunner().invoke(cli, ["worker", "--device=cpu", f"--track={given}", "--storage", sqlite_url])
    assert "secret" not in answer.stderr
    assert (2, True) == (answer.exit_code, said in " ".join(answer.stderr.split())), answer.stderr


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and how to install it."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="--track wandb: ") as caught:
        open_trackers(["wandb"])
    assert "pip install wandb" == caught.value.hint


def shared_study() -> StudySpec:
    """Two trials of which the second goes on from a checkpoint of the first."""
    stages = {"kind": "stages", "factors": [1.0, 1.0, 0.1]}
    common = {"lr": {"kind": "constant", "peak": 0.05}, "regularizers": {"l2": {"policy": {"kind": "hold"}}}}
    arms = {
        "holds": {},
        "falls": {"trial": {"regularizers": {"l2": {"policy": stages}}}},
    }
    return make_study(arms, trial=common, share_prefixes=True)


def test_what_another_trial_has_trained_is_shown_too(sqlite_url: str, tmp_path: Path) -> None:
    """A trial that shares its beginning is shown from its first unit on."""
    storage = open_storage(sqlite_url)
    row = begin_study(storage, shared_study())
    work_here(storage, track=(f"tensorboard:{tmp_path}",))
    cells = storage.ledger.cells(row.id)
    assert any(cell.leader is not None for cell in cells)
    for folder in (tmp_path / "digits").iterdir():
        assert [1, 2, 3] == [step for step, _ in scalars(folder)["lr"]], folder
    storage.close()


def test_begun_anew(tmp_path: Path) -> None:
    """What was told before it turned out that a trial can't go on is hidden, not shown twice."""
    trackers = open_trackers([f"tensorboard:{tmp_path}"])
    shown = trackers.begin(Run("study", "trial", "key", {}, so_far=[(1, {"loss": 9.0}), (2, {"loss": None})]))
    shown.log(1, {"loss": 0.5})
    shown.log(2, {"loss": 0.25})
    shown.end("finished", {})
    trackers.close()
    assert [(1, 0.5), (2, 0.25)] == scalars(tmp_path / "study" / "trial")["loss"]


def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is told again takes the place of the one before."""
    trackio = pytest.importorskip("trackio")
    for name in ("TRACKIO_DIR", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    trackers = open_trackers(["trackio"])
    for so_far in ((), [(1, {"loss": 0.5})]):
        shown = trackers.begin(Run("study", "trial", "key", {"arm": "a"}, so_far=so_far))
        for at in (1, 2)[len(so_far) :]:
            shown.log(at, {"loss": 0.5 / at})
        shown.end("interrupted", {})
    trackers.close()
    [run] = list(trackio.Api().runs("study"))
    assert "trial" == run.name


@pytest.mark.filterwarnings("ignore")  # its own use of SQLAlchemy
def test_mlflow(sqlite_url: str, tmp_path: Path) -> None:
    """The same, where it is installed."""
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    place = f"sqlite:///{tmp_path / 'mlflow.db'}"
    storage = open_storage(sqlite_url)
    cells = trained(storage, f"mlflow:{place}")
    client = MlflowClient(place)
    experiment = client.get_experiment_by_name(STUDY.name)
    runs = {
        run.data.tags["hpo.trial"].rpartition("-")[2]: run for run in client.search_runs([experiment.experiment_id])
    }
    for cell in cells:
        run = runs[str(cell.id)]
        history = curve_of(client, run.info.run_id)
        assert [(at, point["lr"]) for at, point in enumerate(curve(storage, cell), 1)] == history
        assert "FINISHED" == run.info.status
    storage.close()
    # Told again, none stands there twice.
    key = f"{runs[str(cells[0].id)].data.tags['hpo.trial']}"
    measured = curve_of(client, runs[str(cells[0].id)].info.run_id)
    again = Run(STUDY.name, "again", key, {}, so_far=[(at, {"lr": value}) for at, value in measured])
    trackers = open_trackers([f"mlflow:{place}"])
    trackers.begin(again).log(len(measured) + 1, {"lr": 0.5})
    trackers.close()
    assert [*measured, (len(measured) + 1, 0.5)] == curve_of(client, runs[str(cells[0].id)].info.run_id)


def curve_of(client: Any, run: str) -> list[tuple[int, float]]:
    """What MLflow has of the learning rate."""
    return [(one.step, one.value) for one in client.get_metric_history(run, "lr")]


def test_weights_and_biases(sqlite_url: str, tmp_path: Path) -> None:
    """A run for each trial, to be uploaded by `wandb sync`."""
    pytest.importorskip("wandb")
    storage = open_storage(sqlite_url)
    cells = trained(storage, f"wandb:{tmp_path}")
    assert len(cells) == len(list((tmp_path / "wandb").glob("offline-run-*")))
    storage.close()
