"""A report as a folder of files: page, Markdown, study file, every trial and every epoch as CSV, figures."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.report import export, svg
from hpo.report.context import Context
from hpo.report.export import Table
from hpo.report.figures import Figure
from hpo.report.page import page
from hpo.report.results import Report
from hpo.report.text import escape, markdown
from hpo.storage.rows import Cell, CurvePoint
from hpo.study import StudySpec

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so is a formula to a spreadsheet."""


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
        "trials.csv": _csv(export.trials(study, cells)),
        "curves.csv": _csv(_with_params(export.curves(study, cells, curves), cells)),
    }
    for figure in drawn:
        content |= {f"figures/{figure.id}.svg": svg.svg(figure), f"figures/{figure.id}.png": svg.png(figure)}
    return [_replace(folder / name, data) for name, data in content.items()]


def _linked(drawn: Sequence[Figure]) -> str:
    """The figures for the end of a Markdown document."""
    lines = ["## Figures", ""]
    for figure in drawn:
        lines += [
            f"### {figure.title}",
            "",
            f"![{figure.title}](figures/{figure.id}.png)",
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


def _csv(table: Table) -> bytes:
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(table.columns)
    lines.writerows(_harmless(row) for row in table.rows)
    return text.getvalue().encode()


def _harmless(row: Sequence[Any]) -> list[Any]:
    """The values, with a quote before a text that would be a formula."""
    return [f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value for value in row]


def _replace(path: Path, data: bytes) -> Path:
    """Write beside and then rename, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(number, "wb") as file:
        file.write(data)
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(beside, 0o666 & ~mask)
    os.replace(beside, path)
    return path
