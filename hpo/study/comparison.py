"""Two programs, no search, the same seeds: the smallest study there is."""

from __future__ import annotations

import hashlib
import json
from typing import Any

FIRST, SECOND = "first", "second"
"""The names of the two arms."""


def comparison(
    programs: tuple[str, str],
    length: int,
    unit: str,
    metric: str,
    *,
    maximize: bool,
    seeds: int,
    by: float = 0.0,
    line: str | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """The tables of a study whose claim is that the first program is better than the second, on validation.

    `by` is how much better, in the metric's own unit; `line` finds reports in what the programs print, if they don't
    call `hpo.trial()`. Without a `name` it is called after what it compares, so the same comparison is the same study.
    """
    side = "greater" if maximize else "less"
    trial: dict[str, Any] = {
        "program": programs[0],
        "length": {unit: length},
        "metric": {"name": metric, "goal": "maximize" if maximize else "minimize"},
    }
    if line is not None:
        trial["reports"] = {"line": line}
    claim = {"arm": FIRST, "than": SECOND, "metric": f"validation_{metric}", "by": by}
    table: dict[str, Any] = {
        "title": f"Is {programs[0]} better than {programs[1]}?"[:1000],
        "trial": trial,
        "protocol": {"repeats": seeds, "baseline": SECOND},
        "arms": {FIRST: {}, SECOND: {"trial": {"program": programs[1]}}},
        "claims": [{"text": "the first program is better than the second", side: claim}],
    }
    digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
    return {"name": name or f"compare-{digest[:8]}", **table}
