"""A study whose arms search what figures are made of, with trials and epochs made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hpo.report.figures import Figure, figures
from hpo.report.render.context import Context, context
from hpo.report.verdict.compare import compare
from hpo.report.verdict.results import Report
from hpo.storage.rows import Cell, CurvePoint, StudyRow, WorkerRow
from hpo.study import StudySpec
from hpo.study.file import parse
from tests.unit.report_samples import cell

STRENGTHS = [0.0, 1e-3, 1e-2]
HIDDEN = ["[8]", "[80]"]
EPOCHS = 4


def study(title: str = "Does it move?", claim: str = "ramp is better") -> StudySpec:
    """A grid of strengths and widths, and a random search of the same with a direction."""
    widths = {"values": [[8], [80]]}
    return parse(
        {
            "name": "moving",
            "title": title,
            "trial": {
                "epochs": EPOCHS,
                "batch_size": 32,
                "data": {"kind": "digits"},
                "model": {"kind": "mlp", "hidden": [8]},
                "optimizer": {"kind": "sgd"},
                "lr": {"kind": "cosine", "peak": 0.1},
                "regularizers": {"l2": {"kind": "l2", "strength": 1e-3}},
                "gradient_norms": ["output.weight"],
            },
            "protocol": {"confirm": {"seeds": 3}, "budget": {"epochs": 48}},
            "arms": {
                "grid": {"search": {"regularizers.l2.strength": {"values": STRENGTHS}, "model.hidden": widths}},
                "ramp": {
                    "trial": {"regularizers": {"l2": {"policy": {"kind": "ramp", "direction": "down"}}}},
                    "sampler": {"kind": "random"},
                    "search": {
                        "regularizers.l2.strength": {"low": 1e-4, "high": 1e-1, "log": True},
                        "regularizers.l2.policy.direction": {"values": ["up", "down"]},
                        "model.hidden": widths,
                    },
                },
            },
            "claims": [{"text": claim, "greater": {"arm": "ramp", "than": "grid"}}],
        }
    )


def searched() -> list[Cell]:
    """A search phase: the grid's 6 trials, 12 of the ramp of which 2 were pruned after 2 epochs."""
    cells = [
        trial("grid", slot, {"regularizers.l2.strength": strength, "model.hidden": hidden}, 0.7 + slot / 50)
        for slot, (strength, hidden) in enumerate((s, h) for s in STRENGTHS for h in HIDDEN)
    ]
    for slot in range(12):
        params = {
            "regularizers.l2.strength": 10 ** (-4 + slot / 4),
            "regularizers.l2.policy.direction": ("up", "down")[slot % 2],
            "model.hidden": HIDDEN[slot // 2 % 2],
        }
        pruned: dict[str, Any] = {"ended": "pruned", "epochs": 2} if slot in (7, 8) else {}
        cells.append(trial("ramp", slot, params, 0.6 + slot / 50, **pruned))
    return cells


def confirmed(cells: Iterable[Cell]) -> list[Cell]:
    """Three confirm trials of each arm's best configuration among `cells`."""
    done = [one for one in cells if one.ended == "finished"]
    best = [max((one for one in done if one.arm == arm), key=lambda one: one.score or 0.0) for arm in ("grid", "ramp")]
    return [
        cell(
            one.arm,
            "confirm",
            0,
            seed=1000 + seed,
            params=one.params,
            epochs=EPOCHS,
            ended="finished",
            score=(one.score or 0.0) + seed / 100,
            validation_accuracy=(one.score or 0.0) + seed / 100,
            test_accuracy=(one.score or 0.0) + (seed - 1) / 50 * (2 if one.arm == "ramp" else 1),
            test_loss=0.5,
            worker="w1",
        )
        for one in best
        for seed in range(3)
    ]


def trial(arm: str, slot: int, params: dict[str, Any], accuracy: float, **fields: Any) -> Cell:
    """A search trial that is done, the later the higher its slot."""
    given = {
        "params": params,
        "epochs": EPOCHS,
        "ended": "finished",
        "score": accuracy,
        "validation_accuracy": accuracy,
        "worker": "w1",
        "finished": 1000.0 + slot,
    }
    return cell(arm, "search", slot, **given | fields)


def curves(cells: Iterable[Cell], *, norms: bool = True) -> Iterator[CurvePoint]:
    """Every epoch of `cells`: accuracy rises to the score, loss and learning rate fall, the strength halves."""
    for one in cells:
        for epoch in range(1, one.epochs + 1):
            accuracy = (one.score or 0.0) * epoch / one.epochs
            yield CurvePoint(
                cell_id=one.id,
                at=epoch,
                seconds=0.1,
                metrics={
                    "step": 10 * epoch,
                    "train_loss": 1.0 / epoch,
                    "train_accuracy": min(1.0, accuracy + 0.05),
                    "validation_loss": 1.5 / epoch,
                    "validation_accuracy": accuracy,
                    "lr": 0.1 / epoch,
                    "strength.l2": 0.5**epoch,
                    **({"gradient_norm.output.weight": 2.0 / epoch} if norms else {}),
                    "images_per_second": 1000.0,
                },
            )


def workers() -> list[WorkerRow]:
    """One that ran everything, and one of another study."""
    environment = {"hpo": "0.1.0", "torch": "2.15.0", "device": "CPU (x86_64)", "cuda": "", "threads": "1"}
    return [
        WorkerRow(name, "host", 1, "CPU (x86_64)", environment, 0.0, 1.0, 2.0, None, False, False)
        for name in ("w1", "elsewhere")
    ]


def row(spec: StudySpec) -> StudyRow:
    return StudyRow(1, "uuid", spec.name, spec.model_dump_json(), None, "running", None, "f1nger", "0.1.0", 0.0)


def reported(spec: StudySpec | None = None) -> tuple[StudySpec, list[Cell], list[CurvePoint], Report, Context]:
    """The whole study with its report."""
    spec = spec or study()
    cells = searched()
    cells += confirmed(cells)
    points = list(curves(cells))
    return spec, cells, points, compare(spec, cells, points), context(spec, row(spec), cells, workers())


def drawn() -> list[Figure]:
    spec, cells, points, report, _ = reported()
    return figures(spec, cells, points, report)
