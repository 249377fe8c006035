"""`hpo export` and `hpo.load`: what other programs get is what the storage holds."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from pandas.testing import assert_frame_equal

import hpo
from benchmarks.large_study import NAME, fill, make_study
from hpo.cli import cli
from hpo.errors import StudyError, UserError
from hpo.report.render import export
from hpo.report.render.export import Table
from hpo.report.render.sheets import parquet_bytes, write
from hpo.service import begin_study
from hpo.storage import Storage, open_storage
from hpo.study.file import parse
from tests.integration.helpers import TRIAL

TRIALS, EPOCHS = 20, 3


@pytest.fixture
def filled(storage_url: str) -> Iterator[Storage]:
    """A storage with a study of two arms that is done, on each kind of database in turn."""
    storage = open_storage(storage_url)
    fill(storage, make_study(TRIALS, EPOCHS, 2))
    yield storage
    storage.close()


def run(storage: Storage, *arguments: str) -> Result:
    """`hpo export` in this process."""
    url = storage.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, ["export", *arguments], env={"HPO_STORAGE": url})


def test_csv(filled: Storage, tmp_path: Path) -> None:
    """A row per trial and a row per epoch, their columns named by path."""
    done = run(filled, NAME, "-o", str(tmp_path / "new" / "folder"))
    assert 0 == done.exit_code, done.output
    cells = filled.ledger.cells(filled.ledger.study(NAME).id)
    with (tmp_path / "new" / "folder" / f"{NAME}-trials.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    with (tmp_path / "new" / "folder" / f"{NAME}-curves.csv").open(newline="") as file:
        curves = list(csv.DictReader(file))
    assert [(NAME, cell.arm, cell.phase, str(cell.slot), str(cell.seed), str(cell.id)) for cell in cells] == [
        (row["study"], row["arm"], row["phase"], row["slot"], row["seed"], row["cell"]) for row in trials
    ]
    assert [cell.params for cell in cells] == [
        {path: float(row[path]) for path in ("lr.peak", "regularizers.l2.strength")} for row in trials
    ]
    assert [cell.score for cell in cells] == [float(row["score"]) for row in trials]
    assert [cell.metrics.get("test_accuracy") for cell in cells] == [
        float(row["test_accuracy"]) if row["test_accuracy"] else None for row in trials
    ]
    assert TRIALS * EPOCHS == len(curves)
    points = filled.ledger.curves(filled.ledger.study(NAME).id)
    assert [(p.cell_id, p.at, p.metrics["validation_accuracy"], p.metrics["strength.l2"]) for p in points] == [
        (int(row["cell"]), int(row["epoch"]), float(row["validation_accuracy"]), float(row["strength.l2"]))
        for row in curves
    ]
    assert "gradient_norm.output.weight" in curves[0]


def test_no_formula(sqlite_url: str, tmp_path: Path) -> None:
    """A text that a spreadsheet would compute is marked as text, and what acts on a terminal shows; as in a report."""
    study = make_study(TRIALS, EPOCHS, 2)
    storage = open_storage(sqlite_url)
    begin_study(storage, study)
    cells = storage.ledger.cells(storage.ledger.study(NAME).id)
    hostile = ["=cmd|'/c calc'!A0", "+1", "-1", "@sum", "＝1", "a;=1", "\t=1", "plain \x1b[2J"]
    cells = [replace(cell, error=error, score=-0.5) for cell, error in zip(cells[: len(hostile)], hostile, strict=True)]
    trials, _ = write(study, cells, [], tmp_path)
    with trials.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    harmless = [f"'{text}" for text in hostile[:5]] + ["a;'=1", "'\t'=1", "plain ␛[2J"]
    assert harmless == [row["error"] for row in rows]
    assert {"-0.5"} == {row["score"] for row in rows}
    storage.close()


def test_frames(filled: Storage, tmp_path: Path) -> None:
    """Data frames, parquet and CSV hold the same, with types."""
    loaded = hpo.load(filled.url.render_as_string(hide_password=False), NAME)
    for form in ("csv", "parquet"):
        assert 0 == run(filled, NAME, "-o", str(tmp_path), "--format", form).exit_code
    for name, frame in (("trials", loaded.trials), ("curves", loaded.curves)):
        assert_frame_equal(frame, pd.read_parquet(tmp_path / f"{NAME}-{name}.parquet"), check_dtype=False)
        from_csv = pd.read_csv(tmp_path / f"{NAME}-{name}.csv")
        assert list(frame.columns) == list(from_csv.columns)
        numbers = list(frame.select_dtypes("number").columns)
        assert_frame_equal(frame[numbers], from_csv[numbers])
    assert (TRIALS, TRIALS * EPOCHS) == (len(loaded.trials), len(loaded.curves))
    assert "datetime64[us, UTC]" == str(loaded.trials["finished"].dtype)
    assert {"arm1", "arm2"} == set(loaded.arms["arm"])
    (first, second) = loaded.verdict.arms
    assert first.test is not None and second.difference is not None
    assert [first.test.mean] == list(loaded.arms.query("baseline")["test_accuracy_mean"])
    assert [second.difference.difference] == list(loaded.arms.query("not baseline")["difference"])


def test_planned_only(sqlite_url: str, tmp_path: Path) -> None:
    """A study of which nothing has been run: trials without results, and no epochs."""
    storage = open_storage(sqlite_url)
    begin_study(storage, make_study(TRIALS, EPOCHS, 2))
    for form in ("csv", "parquet"):
        assert 0 == run(storage, NAME, "-o", str(tmp_path), "--format", form).exit_code
    assert {"planned"} == set(pd.read_parquet(tmp_path / f"{NAME}-trials.parquet")["state"])
    assert 0 == len(pd.read_csv(tmp_path / f"{NAME}-curves.csv"))
    assert 0 == len(hpo.load(sqlite_url, NAME).curves)
    storage.close()


def test_labels(sqlite_url: str, tmp_path: Path) -> None:
    """A path that has lists in one arm and is not searched in another, as Optuna shows it; mixed types as texts."""
    study = parse(
        {
            "name": "labels",
            "trial": TRIAL,
            "arms": {
                "hidden": {"search": {"model.hidden": {"values": [[8], [8, 8]]}}},
                "numbers": {"search": {"lr.peak": {"values": [0.1]}}},
            },
        }
    )
    storage = open_storage(sqlite_url)
    row = begin_study(storage, study)
    table = export.trials(study, storage.ledger.cells(row.id))
    assert [("[8]", None), (None, 0.1), ("[8, 8]", None)] == [
        tuple(row[table.columns.index(path)] for path in ("model.hidden", "lr.peak")) for row in table.rows
    ]
    assert 0 == run(storage, "labels", "-o", str(tmp_path), "--format", "parquet").exit_code
    storage.close()


def test_mixed_types(tmp_path: Path) -> None:
    """Parquet takes one type per column."""
    table = Table(("number", "mixed"), [(1, 0.5), (2.5, "auto"), (None, None)])
    (tmp_path / "t.parquet").write_bytes(parquet_bytes(table))
    frame = pd.read_parquet(tmp_path / "t.parquet")
    assert [1.0, 2.5] == frame["number"].dropna().tolist()
    assert ["0.5", "auto"] == frame["mixed"].dropna().tolist()


def test_without_the_packages(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet and data frames say what to install; CSV needs nothing."""
    storage = open_storage(sqlite_url)
    fill(storage, make_study(TRIALS, EPOCHS, 2))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    refused = run(storage, NAME, "-o", str(tmp_path / "none"), "--format", "parquet")
    assert 2 == refused.exit_code
    assert "error: parquet needs the package pyarrow\nhint: pip install 'hpo-studies[parquet]'" in refused.stderr
    assert not (tmp_path / "none").exists()
    with pytest.raises(UserError, match="pandas"):
        hpo.load(sqlite_url, NAME)
    assert 0 == run(storage, NAME, "-o", str(tmp_path), "--format", "csv").exit_code
    storage.close()


def test_unknown_study(sqlite_url: str) -> None:
    """The error names those that there are."""
    with pytest.raises(StudyError, match="there is no study 'nothing' here"):
        hpo.load(sqlite_url, "nothing")


def test_a_light_import() -> None:
    """`import hpo` brings nothing that is slow."""
    code = "import hpo, sys; print([m for m in ('torch', 'optuna', 'sqlalchemy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout
