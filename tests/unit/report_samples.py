"""A small study, and cells made by hand, for the tests of reports."""

from __future__ import annotations

from itertools import count
from typing import Any

from hpo.storage.rows import Cell
from hpo.study import StudySpec
from hpo.study.file import parse
from hpo.trainers.images.reported import METRICS

TRIAL: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 32,
    "data": {"kind": "digits"},
    "model": {"kind": "mlp", "hidden": [8]},
    "optimizer": {"kind": "sgd"},
    "lr": {"kind": "constant", "peak": 0.1},
}
PEAKS = [0.1, 0.2, 0.3]
_ids = count(1)


def study(
    *,
    confirm: dict[str, Any] | None = None,
    repeats: int = 1,
    claims: list[dict[str, Any]] | None = None,
    arms: tuple[str, ...] = ("grid", "ramp"),
    title: str = "",
    sampler: str = "grid",
    published: list[dict[str, Any]] | None = None,
    audit: int = 0,
    searches: int = 1,
) -> StudySpec:
    """A study whose arms each search three peak learning rates; `sampler` is that of all but the first."""
    protocol: dict[str, Any] = {"repeats": repeats, "audit": audit, "searches": searches}
    protocol |= {"confirm": confirm} if confirm else {}
    return parse(
        {
            "name": "sample",
            "title": title,
            "trial": TRIAL,
            "protocol": protocol,
            "arms": {
                arm: {
                    "sampler": {"kind": sampler if arm != arms[0] else "grid"},
                    "search": {"lr.peak": {"values": PEAKS}},
                }
                for arm in arms
            },
            "claims": claims or [],
            "published": published or [],
        }
    )


def search(arm: str, slot: int, accuracy: float | None, ended: str = "finished", **fields: Any) -> Cell:
    """A trial of the search phase that is done."""
    score = 0.0 if ended == "diverged" else accuracy
    return cell(arm, "search", slot, ended=ended, validation_accuracy=accuracy, score=score, **fields)


def confirm(arm: str, seed: int, validation: float, test: float, slot: int = 0, **fields: Any) -> Cell:
    """A trial of the confirm phase that is done."""
    given: dict[str, Any] = {
        "ended": "finished",
        "score": validation,
        "validation_accuracy": validation,
        "test_accuracy": test,
        "test_loss": 1 - test,
    }
    return cell(arm, "confirm", slot, seed=seed, **given | fields)


def diverged(arm: str, seed: int, slot: int = 0, **fields: Any) -> Cell:
    """A trial of the confirm phase that diverged."""
    return cell(arm, "confirm", slot, seed=seed, ended="diverged", score=0.0, **fields)


def cell(arm: str, phase: str, slot: int, **fields: Any) -> Cell:
    """A cell with everything that `fields` doesn't say left plain."""
    plain: dict[str, Any] = {
        "id": next(_ids),
        "seed": 0,
        "params": {"lr.peak": PEAKS[slot % 3]},
        "state": "done",
        "attempts": 1,
        "failed_by": None,
        "claims": 1,
        "trial_id": None,
        "leader": None,
        "leader_epochs": None,
        "trial_number": None,
        "epochs": 2,
        "seconds": 1.0,
        "ended": None,
        "score": None,
        "metrics": {name: value for name, value in fields.items() if name in METRICS and value is not None},
        "error": None,
        "reason": None,
        "worker": None,
        "started": None,
        "finished": None,
    }
    others = {name: value for name, value in fields.items() if name not in METRICS}
    return Cell(arm=arm, phase=phase, slot=slot, **plain | others)
