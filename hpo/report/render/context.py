"""What else a reader needs to repeat a study: its file, seeds, versions, machines, and the commands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.report.environments import MATTERS, differ
from hpo.report.toml import study_file
from hpo.storage.rows import Cell, StudyRow, WorkerRow
from hpo.study import StudySpec
from hpo.words.nouns import count

OF_ONE_WORKER = ("device", "gpu", "gpu_id")
"""The part of a worker's environment that is shown elsewhere, or tells apart workers of the same kind."""


@dataclass(frozen=True, slots=True)
class Context:
    """How a study was run."""

    study_file: str
    """Reads as the study that was run, defaults written out."""
    hpo_version: str
    """The version of the hpo that planned it."""
    data: str | None
    """Fingerprint of the images; None before the first worker."""
    seeds: tuple[str, ...]
    """The seeds by phase, in words."""
    machines: tuple[str, ...]
    """The kinds of workers that ran trials, in words, the most frequent first."""
    devices: tuple[str, ...]
    """The kinds of device that trials ran on, each once."""
    mixed: tuple[str, ...]
    """What results depend on and some workers differed in."""
    commands: tuple[str, ...]


def context(study: StudySpec, row: StudyRow, cells: Sequence[Cell], workers: Sequence[WorkerRow]) -> Context:
    """The context of `study`; `workers` may be all that the storage knows."""
    ran = {cell.worker for cell in cells}
    own = [worker for worker in workers if worker.id in ran]
    kinds = defaultdict(list)
    for worker in own:
        kinds[", ".join(_machine(worker))].append(worker.host)
    return Context(
        study_file=study_file(study),
        hpo_version=row.hpo_version,
        data=row.data,
        seeds=tuple(_seeds(cells)),
        machines=tuple(
            f"{_workers(hosts)}: {kind}" for kind, hosts in sorted(kinds.items(), key=lambda item: -len(item[1]))
        ),
        devices=tuple(dict.fromkeys(worker.device for worker in own)),
        mixed=tuple(key for key in MATTERS if differ(key, own)),
        commands=(f"hpo launch-study {study.name}.toml", f"hpo report {study.name} -o DIR"),
    )


def _machine(worker: WorkerRow) -> list[str]:
    about = worker.environment.items()
    return [worker.device, *(f"{key} {value}" for key, value in about if key not in OF_ONE_WORKER and value)]


def _workers(hosts: Sequence[str]) -> str:
    """`8 workers on 2 machines`, of the hosts of each."""
    machines = len(set(hosts))
    return count(len(hosts), "worker") + (f" on {machines} machines" if machines > 1 else "")


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
