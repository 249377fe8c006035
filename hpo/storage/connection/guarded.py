"""Writes that belong together, and what is read beside them, in as few messages to the server as can be.

On Postgres they are one statement, in which the later ones depend on the first (WITH held AS (…), …); on SQLite, which
lives in the process, one transaction. The first finds the row that the others stand or fall with: a cell under its
lease, or a trial that may still be written to. If it finds none, nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Connection,
    Delete,
    Insert,
    Row,
    Select,
    String,
    Table,
    Update,
    bindparam,
    cast,
    exists,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite

from hpo.storage.connection.database import Database
from hpo.storage.tables import now


@dataclass(frozen=True, slots=True)
class Upsert:
    """Rows of a table, all with the same columns, at least one; one that is there by its key is replaced, or kept."""

    table: Table
    key: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    replace: bool = True
    time: str | None = None
    """The column that takes the database's time."""
    condition: ColumnElement[bool] | None = None
    """Nothing is written unless it holds. Its parameters are given in `parameters`."""
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An UPDATE or DELETE made once, with its parameters."""

    statement: Update | Delete
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A query made once, whose first column is never null, with its parameters. It sees none of the writes."""

    select: CompoundSelect[Any]
    parameters: Mapping[str, Any]


Statement = Upsert | Change
Rows = Sequence[Sequence[Any]]
"""Rows that a query has found."""
First = Select[Any] | Update
Parameters = dict[str, Any]
_Shape = Update | Delete | tuple[Any, ...]


def execute_guarded(
    database: Database, first: First, parameters: Parameters, statements: Sequence[Statement] = ()
) -> Row[Any] | None:
    """What `first` (made once, and returning a row) has found; the `statements` are carried out if it has found any.

    No parameter has the name of a column: in an UPDATE, SQLAlchemy would set it.
    """
    found = execute_guarded_with_query(database, first, parameters, statements)
    return None if found is None else found[0]


def execute_guarded_with_query(
    database: Database,
    first: First,
    parameters: Parameters,
    statements: Sequence[Statement] = (),
    query: Query | None = None,
) -> tuple[Row[Any], Rows] | None:
    """Carry out the statements, and return what `query` has found."""
    shapes = tuple(_shape(write) for write in statements)
    if database.engine.dialect.name == "postgresql" or not (statements or query):
        statement, width = _one_statement(first, shapes, query.select if query else None)
        given = dict(parameters) | dict(query.parameters if query else {})
        for place, write in enumerate(statements):
            given |= _parameters(write, place)
        rows = database.read(lambda connection: connection.execute(statement, given).all())
        return (rows[0], [row[width:] for row in rows if row[width:] and row[width] is not None]) if rows else None

    def one_after_the_other(connection: Connection) -> tuple[Row[Any], Rows] | None:
        found = connection.execute(first, parameters).one_or_none()
        if found is None:
            return None
        read = connection.execute(query.select, query.parameters).all() if query else []
        for place, (write, shape) in enumerate(zip(statements, shapes, strict=True)):
            connection.execute(_following(shape, place, None), _parameters(write, place))
        return found, read

    return database.transaction(one_after_the_other)


def _shape(write: Statement) -> _Shape:
    """What tells its statement from others: everything but the values."""
    if isinstance(write, Change):
        return write.statement
    columns = tuple(write.rows[0])
    return write.table, columns, write.key, len(write.rows), write.replace, write.time, write.condition


def _parameters(write: Statement, place: int) -> Parameters:
    if isinstance(write, Change):
        return dict(write.parameters)
    rows = {_name(place, number, name): value for number, row in enumerate(write.rows) for name, value in row.items()}
    return rows | dict(write.parameters or {})


def _name(place: int, number: int, column: str) -> str:
    return f"w{place}_{number}_{column}"


# To make a statement takes several times as long as to carry it out; a worker needs a dozen, over and over.
@lru_cache(maxsize=256)
def _one_statement(first: First, shapes: tuple[_Shape, ...], read: CompoundSelect[Any] | None) -> tuple[First, int]:
    """The statement, and how many of its columns are those of `first`; the query's follow, null if it finds no row."""
    held = first.cte("held")
    if not shapes and read is None:
        return first, len(held.c)
    writes = [_following(shape, place, held).cte(f"write_{place}") for place, shape in enumerate(shapes)]
    if read is None:
        return select(held).add_cte(*writes), len(held.c)
    found = read.subquery("read")
    return select(held, found).outerjoin_from(held, found, true()).add_cte(*writes), len(held.c)


@lru_cache(maxsize=256)
def _following(shape: _Shape, place: int, held: CTE | None) -> Insert | Update | Delete:
    if not isinstance(shape, tuple):
        return shape if held is None else shape.where(exists(select(held)))
    table, columns, key, count, replace, time, condition = shape
    # Both dialects' inserts have the same ON CONFLICT, but no common class that declares it.
    dialect: Any = sqlite if held is None else postgresql
    rows = []
    for number in range(count):
        values = [bindparam(_name(place, number, name), type_=table.c[name].type) for name in columns]
        row = select(*values) if held is None else select(*map(_typed, values)).select_from(held)
        row = row if time is None else row.add_columns(now())
        rows.append(row.where(true() if condition is None else condition))
    columns += () if time is None else (time,)
    insert = dialect.insert(table).from_select(columns, union_all(*rows) if count > 1 else rows[0])
    replaced = {name: insert.excluded[name] for name in columns if name not in key} if replace else {}
    statement: Insert = (
        insert.on_conflict_do_update(index_elements=key, set_=replaced)
        if replaced
        else insert.on_conflict_do_nothing(index_elements=key)
    )
    return statement


def _typed(value: Any) -> Any:
    # In a UNION the server would take a null for a text. A cast to a text of limited length would cut it.
    return value if type(value.type) is String else cast(value, value.type)
