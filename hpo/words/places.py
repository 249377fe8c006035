"""Where each key of a study file belongs, so that one in a wrong table can be told where it goes.

The tables are read from the models that check a file. A path is a tuple of keys; where a table is named by its author,
as `regularizers.l2` is, the path has `NAME`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from hpo.words.suggest import plain

Path = tuple[str, ...]

NAME = "NAME"
"""Stands for a key that the author of the file chooses."""
MOST_SHOWN = 2
"""How many are shown of the places to which a key may belong."""


@dataclass(frozen=True, slots=True)
class Place:
    """A table in which a key may stand: one of the given kind, if tables of several kinds may stand there."""

    table: Path
    kind: str | None


@dataclass(frozen=True, slots=True)
class Places:
    """All the keys and kinds of a file."""

    keys: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    """Key -> the tables in which it may stand, the outermost first."""
    kinds: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """Kind -> the paths at which a table of that kind may stand, the outermost first."""

    def advice(self, key: str, here: Path) -> str:
        """Where `key`, which the table at `here` doesn't have, belongs; empty if nowhere."""
        key = key if key in self.keys else plain(key)
        places = self.keys.get(key, ())
        kinds = list(dict.fromkeys(place.kind for place in places if place.kind and _matches(place.table, here)))
        if kinds:
            return f"; it is a key of the kind {' or '.join(map(repr, kinds))}"
        tables = _outermost(place.table for place in places)
        match tables:
            case []:
                return self._of_kind(key)
            case [()]:
                return f"; {key} belongs to the top of the file, before the first [table]"
            case [table]:
                return f"; {key} belongs to [{'.'.join(table)}]: {'.'.join((*table, key))} = …"
            case _:
                return f"; {key} belongs elsewhere: {_shown([(*table, key) for table in tables])}"

    def _of_kind(self, kind: str) -> str:
        paths = self.kinds.get(kind, ())
        return f'; {kind} is a kind of {_shown(paths)}: {{ kind = "{kind}", … }}' if paths else ""


def places(roots: Mapping[Path, type[BaseModel]]) -> Places:
    """Find the places of all keys, in tables that begin at the paths of `roots`."""
    keys: defaultdict[str, list[Place]] = defaultdict(list)
    kinds: defaultdict[str, list[Path]] = defaultdict(list)
    tables = [found for path, model in roots.items() for found in _tables(path, model, ())]
    for path, model in sorted(tables, key=lambda found: len(found[0])):
        kind = model.model_fields["kind"].default if "kind" in model.model_fields else None
        if kind is not None and path not in kinds[kind]:
            kinds[kind].append(path)
        for name in model.model_fields:
            if name != "kind":
                keys[name].append(Place(path, kind))
    return Places(dict(keys), dict(kinds))


def _tables(path: Path, annotation: Any, above: tuple[Any, ...]) -> Iterator[tuple[Path, type[BaseModel]]]:
    """The models that a value at `path` may be, and those within them; one that holds itself is entered once."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _tables(path, arguments[0], above)
    elif origin in (Union, UnionType):
        for member in arguments:
            yield from _tables(path, member, above)
    elif origin is dict:
        yield from _tables((*path, NAME), arguments[1], above)
    elif origin is tuple:
        yield from _tables(path, arguments[0], above)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in above:
        yield path, annotation
        for name, below in annotation.model_fields.items():
            yield from _tables((*path, name), below.annotation, (*above, annotation))


def _outermost(tables: Iterable[Path]) -> list[Path]:
    """Each table once, without those that lie within another of them."""
    found: list[Path] = []
    for table in tables:
        if not any(table[: len(outer)] == outer for outer in found):
            found.append(table)
    return found


def _matches(pattern: Path, path: Path) -> bool:
    """Whether `path` is such a table; an arm's `trial` has the tables of the trial."""
    end = path[-len(pattern) :] if pattern else path
    return len(pattern) == len(end) and all(one in (NAME, other) for one, other in zip(pattern, end, strict=True))


def _shown(paths: Sequence[Path]) -> str:
    return " or ".join(".".join(path) for path in paths[:MOST_SHOWN])
