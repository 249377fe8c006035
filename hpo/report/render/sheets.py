"""The tables of an export as files: CSV, for spreadsheets too, and Parquet.

A spreadsheet computes a text that begins like a formula, and `=cmd|…` starts a program: such a text gets a quote before
it, which says that it is text. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo import DISTRIBUTION
from hpo.errors import UserError
from hpo.report.render.export import Table, by_column, curves, trials
from hpo.report.render.files import replace
from hpo.storage.rows import Cell, CurvePoint
from hpo.study import StudySpec
from hpo.words.visible import visible

_FORMULA = re.compile("(^|(?<=[;\t\r\n]))(?=[=+\\-@\t\r\n＝＋－＠])")
"""Where a formula begins, to a Japanese spreadsheet with the wide characters too: at the beginning of a text, or behind
what separates cells and rows. Where commas separate decimals a semicolon separates cells, whatever stands in quotes."""


def write(
    study: StudySpec, cells: Sequence[Cell], points: Sequence[CurvePoint], folder: Path, form: str = "csv"
) -> list[Path]:
    """Write both tables into `folder` as `STUDY-trials` and `STUDY-curves`, csv or parquet; returns the paths.

    Raises:
        UserError: parquet without the package for it.
    """
    encode = FORMS[form]
    tables = {"trials": trials(study, cells), "curves": curves(study, cells, points)}
    content = {name: encode(table) for name, table in tables.items()}
    return [replace(folder / f"{study.name}-{name}.{form}", data) for name, data in content.items()]


def csv_bytes(table: Table) -> bytes:
    """The table as CSV in UTF-8, in which a spreadsheet finds nothing to compute."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(map(_harmless, table.columns))
    lines.writerows(map(_harmless, row) for row in table.rows)
    return text.getvalue().encode()


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _FORMULA.sub("'", visible(value))


def parquet_bytes(table: Table) -> bytes:
    """The table as Parquet, with types."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            "parquet needs the package pyarrow", hint=f"pip install '{DISTRIBUTION}[parquet]', or --format csv"
        ) from None
    columns = {name: _of_one_type(values) for name, values in by_column(table).items()}
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def _of_one_type(values: list[Any]) -> list[Any]:
    """The columns as parquet wants them: where a searched path has numbers in one arm and texts in another, all are
    texts."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        return values
    return [None if value is None else str(value) for value in values]


FORMS = {"csv": csv_bytes, "parquet": parquet_bytes}
