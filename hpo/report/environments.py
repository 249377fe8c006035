"""What the workers of a study differ, where a trial's result may depend on it."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.storage.rows import WorkerRow

MATTERS = ("hpo", "commit", "torch", "optuna", "cuda", "threads", "processor", "instructions")
"""The part of a worker's environment that fixes a trial's result beside its seed and the kind of device."""


def differ(key: str, workers: Sequence[WorkerRow]) -> bool:
    """Whether the workers differ in this of their environment."""
    # A trial on a GPU does not depend on the processor.
    of_cpu = key in ("processor", "instructions")
    concerned = [worker for worker in workers if not (of_cpu and worker.environment.get("cuda"))]
    return len({worker.environment.get(key, "") for worker in concerned}) > 1
