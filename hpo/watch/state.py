"""What a study is doing, in one word: from what is stored of it, its cells, and the workers that are alive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hpo.storage.rows import ArmProgress
from hpo.watch.remaining import Left

State = Literal["planned", "running", "waiting for workers", "stopped", "finished", "failed", "unreadable"]


def state_of(stored: str, progress: Sequence[ArmProgress], left: Sequence[Left], alive: int) -> State:
    """The state of a study of which `left` is left, with so many workers alive.

    planned              no trial has been claimed yet
    running              a living worker holds a trial
    waiting for workers  there is something to do, and nobody does it
    stopped              a person has stopped it
    finished             nothing is left to run
    failed               the same error stopped it early, or every trial has failed

    One of which the plan, as it is stored, makes no sense is unreadable, which is for the caller to find.
    """
    if stored == "failed":
        return "failed"
    if stored == "finished" or (progress and not left):
        return "finished" if any(arm.done for arm in progress) else "failed"
    if stored == "stopped":
        return "stopped"
    if alive and any(arm.leased > arm.stale for arm in progress):
        return "running"
    begun = any(arm.leased or arm.done or arm.failed or arm.epochs for arm in progress)
    return "waiting for workers" if begun else "planned"
