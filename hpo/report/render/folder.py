"""A report as a folder of files: page, Markdown, study file, every trial and every epoch as CSV, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.report.figures import Figure
from hpo.report.render import export, svg
from hpo.report.render.context import Context
from hpo.report.render.export import Table
from hpo.report.render.files import replace
from hpo.report.render.page import page
from hpo.report.render.sheets import csv_bytes
from hpo.report.render.text import escape, markdown
from hpo.report.verdict.results import Report
from hpo.storage.rows import Cell, CurvePoint
from hpo.study import StudySpec


def write(
    folder: Path,
    study: StudySpec,
    cells: Sequence[Cell],
    curves: Sequence[CurvePoint],
    report: Report,
    drawn: Sequence[Figure],
    context: Context,
) -> list[Path]:
    """Write the report into `folder`, each file whole or not at all; returns the paths, the page first."""
    content: dict[str, bytes] = {
        f"{study.name}.html": page(report, drawn, context).encode(),
        f"{study.name}.md": (markdown(report) + _linked(drawn)).encode(),
        f"{study.name}.toml": context.study_file.encode(),
        "trials.csv": csv_bytes(export.trials(study, cells)),
        "curves.csv": csv_bytes(_with_params(export.curves(study, cells, curves), cells)),
    }
    for figure in drawn:
        content |= {f"figures/{figure.id}.svg": svg.svg(figure), f"figures/{figure.id}.png": svg.png(figure)}
    return [replace(folder / name, data) for name, data in content.items()]


def _linked(drawn: Sequence[Figure]) -> str:
    """The figures for the end of a Markdown document."""
    lines = ["## Figures", ""]
    for figure in drawn:
        lines += [
            f"### {escape(figure.title)}",
            "",
            f"![{escape(figure.title)}](figures/{figure.id}.png)",
            "",
            escape(figure.caption),
            "",
        ]
    return "\n".join(lines) if drawn else ""


def _with_params(curves: Table, cells: Sequence[Cell]) -> Table:
    """The epochs with what was searched, so that nobody has to join two files."""
    params: Mapping[int, Mapping[str, Any]] = {cell.id: cell.params or {} for cell in cells}
    paths = list(dict.fromkeys(path for searched in params.values() for path in searched))
    key = curves.columns.index("cell")
    rows = [(*row, *(params[row[key]].get(path) for path in paths)) for row in curves.rows]
    return Table((*curves.columns, *(f"params.{path}" for path in paths)), rows)
