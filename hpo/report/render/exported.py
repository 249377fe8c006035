"""What `hpo export` wrote, read again: its tables as compressed CSV, and the points of the trials in them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from pathlib import Path

from hpo.search.parameters import Search, parameters
from hpo.search.space import Params, Range, label_key


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a table, by column."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def params(search: Search, row: Mapping[str, str]) -> Params:
    """The point of a trial, by the labels that the study file has."""
    found: Params = {}
    for name, parameter in parameters(search).items():
        text, searched = row.get(parameter.path, ""), parameter.searched
        if not text:
            continue
        if isinstance(searched, Range):
            found[name] = int(float(text)) if searched.integer else float(text)
        else:
            found[name] = next(label for label in searched.labels() if text in (label_key(label), str(label)))
    return found
