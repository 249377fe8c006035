"""A table on a terminal that is too narrow for it: texts are folded, numbers are never cut.

A column that is justified to the right holds numbers. They break between words at most, as "[-1.52, +0.07]" may; where
even that leaves no room, the table's rows stand one below the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

LEAST = 12
"""Cells that a folded column of texts keeps, if it has as many to show."""
WIDE = 10_000
"""Cells of a terminal on which any table has room."""


def fitted(console: Console, options: ConsoleOptions, table: Table) -> RenderableType:
    """The table as it is if there is room for it, else with folded columns, else row by row."""
    if not table.show_header:
        return table  # a list, which folds by itself
    wide = options.update(width=WIDE)
    widths = [_widths(console, wide, column) for column in table.columns]
    least = [width.minimum for width in widths]
    natural = [width.maximum for width in widths]
    between = Measurement.get(console, wide, table).maximum - sum(natural)
    room = options.max_width - between
    if sum(natural) <= room:
        return table
    if sum(least) > room:
        return Group(*_stacked(table))
    narrow = copy(table)
    numbers_first = sorted(range(len(least)), key=lambda place: not _holds_numbers(table.columns[place]))
    shared = _shared(room, least, natural, numbers_first)
    narrow.columns = [replace(column, width=width) for column, width in zip(table.columns, shared, strict=True)]
    return narrow


def _holds_numbers(column: Column) -> bool:
    return column.justify == "right"


def _widths(console: Console, options: ConsoleOptions, column: Column) -> Measurement:
    """The least width of a column and the one at which nothing of it is folded."""
    measured = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
    word = max(cell.minimum for cell in measured)
    line = max(cell.maximum for cell in measured)
    if column.max_width is not None:
        line = min(line, column.max_width)
    if column.no_wrap:
        return Measurement(line, line)
    may_be_folded = column.overflow == "fold" and not _holds_numbers(column)
    return Measurement(min(line, LEAST if may_be_folded else word), line)


def _shared(room: int, least: Sequence[int], natural: Sequence[int], order: Sequence[int]) -> list[int]:
    """The room, shared out: each column has the least that it needs; what is left goes to them in this order."""
    widths = list(least)
    left = room - sum(least)
    for place in order:
        more = min(natural[place] - least[place], left)
        widths[place] += more
        left -= more
    return widths


def _stacked(table: Table) -> Iterator[RenderableType]:
    """Row by row: what stands in the first column, and below it a line for each of the others."""
    first, *others = table.columns
    for name, *values in zip(*(column.cells for column in (first, *others)), strict=True):
        if _on_one_line(name):
            yield name
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(overflow="fold")
        lines.add_column(overflow="fold")
        for column, value in zip(others, values, strict=True):
            if shown := _on_one_line(value):
                lines.add_row(_on_one_line(column.header), shown)
        yield Padding(lines, (0, 0, 0, 2))


def _on_one_line(cell: RenderableType) -> RenderableType:
    """A cell of two lines, such as a mean and its interval, on one; what is no text stays."""
    if isinstance(cell, str):
        return cell.replace("\n", " ")
    if isinstance(cell, Text):
        return Text(" ").join(cell.split("\n"))
    return cell
