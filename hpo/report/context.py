"""What else a reader needs to repeat a study: its file, seeds, versions, machines, and the commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.report.numbers import count
from hpo.report.toml import study_file
from hpo.storage.rows import Cell, StudyRow, WorkerRow
from hpo.study import StudySpec

MATTERS = ("torch", "cuda", "threads")
"""Of a worker's environment: what fixes a trial's result beside its seed and the kind of device."""


@dataclass(frozen=True, slots=True)
class Context:
    """How a study was run."""

    study_file: str
    """Reads as the study that was run, defaults written out."""
    hpo_version: str
    """Of the hpo that planned it."""
    data: str | None
    """Fingerprint of the images; None before the first worker."""
    seeds: tuple[str, ...]
    """By phase, in words."""
    machines: tuple[str, ...]
    """The kinds of workers that ran trials, in words, the most frequent first."""
    mixed: bool
    """Some workers differed in what results depend on."""
    commands: tuple[str, ...]


def context(study: StudySpec, row: StudyRow, cells: Sequence[Cell], workers: Sequence[WorkerRow]) -> Context:
    """The context of `study`; `workers` may be all that the storage knows."""
    ran = {cell.worker for cell in cells}
    own = [worker for worker in workers if worker.id in ran]
    kinds = Counter(", ".join(_machine(worker)) for worker in own)
    return Context(
        study_file=study_file(study),
        hpo_version=row.hpo_version,
        data=row.data,
        seeds=tuple(_seeds(cells)),
        machines=tuple(f"{count(number, 'worker')}: {kind}" for kind, number in kinds.most_common()),
        mixed=len({tuple(worker.environment.get(key) for key in MATTERS) for worker in own}) > 1,
        commands=(f"hpo launch-study {study.name}.toml", f"hpo report {study.name} -o DIR"),
    )


def _machine(worker: WorkerRow) -> list[str]:
    versions = [f"{key} {value}" for key, value in worker.environment.items() if key != "device" and value]
    return [worker.device, *versions]


def _seeds(cells: Sequence[Cell]) -> list[str]:
    phases = dict.fromkeys(cell.phase for cell in cells)
    return [f"{phase}: {_ranges(sorted({cell.seed for cell in cells if cell.phase == phase}))}" for phase in phases]


def _ranges(numbers: Sequence[int]) -> str:
    """`0, 1000-1004`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ", ".join("-".join(map(str, ends)) for ends in ranges)
