"""The folder of a report: every file is there, reads back, and may be written again."""

from __future__ import annotations

import csv
import re
import tomllib
from dataclasses import replace
from pathlib import Path

from hpo.report.figures import figures
from hpo.report.render.folder import write
from hpo.report.toml import study_file
from hpo.study.file import load, parse
from tests.unit.figure_samples import reported, study

STUDIES = Path(__file__).parents[2] / "studies"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_folder_is_complete(tmp_path: Path) -> None:
    """The page first, and every figure that the Markdown shows."""
    spec, cells, points, report, where = reported()
    written = write(tmp_path / "new", spec, cells, points, report, figures(spec, cells, points, report), where)
    names = [str(path.relative_to(tmp_path / "new")) for path in written]
    assert names[:5] == ["moving.html", "moving.md", "moving.toml", "trials.csv", "curves.csv"]
    shown = re.findall(r"!\[[^]]*\]\(([^)]*)\)", written[1].read_text())
    assert len(shown) == 9 and set(shown) <= set(names)
    assert {name.replace(".png", ".svg") for name in shown} <= set(names)
    assert sorted(path for path in (tmp_path / "new").rglob("*") if path.is_file()) == sorted(written)


def test_the_tables_hold_every_trial_and_every_epoch(tmp_path: Path) -> None:
    """With what was searched, strengths and gradient norms as columns."""
    spec, cells, points, report, where = reported()
    write(tmp_path, spec, cells, points, report, figures(spec, cells, points, report), where)
    assert len(rows(tmp_path / "trials.csv")) == len(cells)
    epochs = rows(tmp_path / "curves.csv")
    assert len(epochs) == len(points)
    last = epochs[-1]
    assert (last["arm"], last["phase"], last["seed"], last["epoch"]) == ("ramp", "confirm", "1002", "4")
    assert float(last["strength.l2"]) == 0.5**4
    assert float(last["gradient_norm.output.weight"]) == 0.5
    assert last["params.regularizers.l2.policy.direction"] == "down"
    assert float(last["params.regularizers.l2.strength"]) > 0


def test_a_table_holds_no_formula(tmp_path: Path) -> None:
    """A text that a spreadsheet would compute is marked as text; numbers below zero stay numbers."""
    spec, cells, points, report, where = reported()
    cells[0] = replace(cells[0], error="=cmd|'/c calc'!A0", score=-0.5)
    cells[1] = replace(cells[1], error="a;=1+1;\n@b;2-1 -3\t＝c")
    write(tmp_path, spec, cells, points, report, figures(spec, cells, points, report), where)
    first, second, *_ = rows(tmp_path / "trials.csv")
    assert first["error"] == "'=cmd|'/c calc'!A0"
    assert first["score"] == "-0.5"
    assert second["error"] == "a;'=1+1;'\n'@b;2-1 -3\t'＝c"


def test_writing_again_replaces(tmp_path: Path) -> None:
    """The same report gives the same bytes, and nothing else is left over."""
    spec, cells, points, report, where = reported()
    first = {
        path: path.read_bytes()
        for path in write(tmp_path, spec, cells, points, report, figures(spec, cells, points, report), where)
    }
    (tmp_path / "moving.html").write_text("old")
    assert first == {
        path: path.read_bytes()
        for path in write(tmp_path, spec, cells, points, report, figures(spec, cells, points, report), where)
    }
    assert set(first) == {path for path in tmp_path.rglob("*") if path.is_file()}


def test_the_study_file_reads_as_the_same_study() -> None:
    """Whatever a title holds, and for every study that comes with the product."""
    specs = [
        study(title='a "quoted" \\ text\n\x7f\u2028 <é>', claim="'''"),
        *(load(path) for path in STUDIES.rglob("*.toml")),
    ]
    assert len(specs) > 1
    for spec in specs:
        assert spec == parse(tomllib.loads(study_file(spec)))
