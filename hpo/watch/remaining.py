"""What is left of a study, in epochs and in time: of all that will be planned, not only of what is.

A range, since it is not known beforehand how much pruning saves. What is left of a phase takes W workers at least its
work divided by W, and at most its longest trial more (Graham 1966, on any order of the trials).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.storage.rows import ArmProgress
from hpo.storage.states import AUDIT, CONFIRM, SEARCH, Phase
from hpo.study import ResolvedArm, StudySpec
from hpo.study.protocol import Protocol
from hpo.words.durations import unit_of


@dataclass(frozen=True, slots=True)
class Left:
    """Epochs that an arm has still to train in one phase."""

    arm: str
    phase: Phase
    low: int
    """If every trial is pruned as soon as can be."""
    high: int
    """If none is."""
    each: int
    """The length of a trial that is not pruned."""


def left(study: StudySpec, progress: Sequence[ArmProgress]) -> list[Left]:
    """What is left of every arm and phase; empty if nothing is."""
    counts = {(one.arm, one.phase): one for one in progress}
    arms = [study.arm(name) for name in study.arms]
    searches = {arm.name: counts[arm.name, SEARCH] for arm in arms if (arm.name, SEARCH) in counts}
    grids = [
        searches[arm.name].total * arm.length for arm in arms if not arm.spec.sampler.proposes and arm.name in searches
    ]
    largest, found = max(grids, default=None), []
    for arm in arms:
        if arm.name in searches:
            search = searches[arm.name]
            found.append(Left(arm.name, SEARCH, *_search(arm, search, largest, study.protocol.searches), arm.length))
            for phase, to_come in (
                (CONFIRM, _confirm(study.protocol, arm, search)),
                (AUDIT, _audit(study.protocol, arm, search)),
            ):
                planned = counts.get((arm.name, phase))
                low, high = to_come if planned is None else (planned.open,) * 2
                shortest = 1 if arm.stops_early else arm.length
                found.append(Left(arm.name, phase, low * shortest, high * arm.length, arm.length))
    return [one for one in found if one.high]


def seconds_left(left: Sequence[Left], progress: Sequence[ArmProgress], workers: int) -> tuple[float, float] | None:
    """How long that takes so many workers, at the pace so far; None if nothing is left or nothing is known."""
    spent = sum(one.epochs for one in progress)
    if not left or not spent or not workers:
        return None
    overall = sum(one.seconds for one in progress) / spent
    paces = {one.arm: _pace(one.arm, progress, overall) for one in left}
    least, most = 0.0, 0.0
    for phase in dict.fromkeys(one.phase for one in left):
        own = [one for one in left if one.phase == phase]
        longest = max(min(one.each, one.high) * paces[one.arm] for one in own)
        least += sum(one.low * paces[one.arm] for one in own) / workers
        most += sum(one.high * paces[one.arm] for one in own) / workers + (1 - 1 / workers) * longest
    return round(least, 1), round(most, 1)


def about(seconds: tuple[float, float]) -> str:
    """A range in words: `about 3 to 5 minutes`."""
    low, high = seconds
    unit, length = unit_of(high)
    least, most = math.floor(low / length), max(1, math.ceil(high / length))
    noun = unit if most == 1 else f"{unit}s"
    if least == 0:
        return f"at most {most} {noun}"
    return f"about {most} {noun}" if least == most else f"about {least} to {most} {noun}"


def _search(arm: ResolvedArm, search: ArmProgress, largest_grid: int | None, searches: int) -> tuple[int, int]:
    """Count, at least and at most, how many epochs of the arm's search are left."""
    open_trials = search.open
    shorter = arm.pruner.prunes or arm.stops_early
    if not arm.spec.sampler.proposes or not (shorter or search.diverged):
        budget = None
    else:
        budget = largest_grid if arm.budget is None else arm.budget.epochs and searches * arm.budget.epochs
    if budget is None:
        # A part of the open ones may be trained already: it is seen where no trial has ended early.
        high = min(open_trials * arm.length, max(0, search.total * arm.length - search.epochs))
        return (min(open_trials, high) if shorter else high), high
    # What a trial does not train goes to a further one, until less than a trial is left.
    high = max(0, budget - search.epochs - search.failed * arm.length)
    if not open_trials and high < arm.length:
        return 0, 0
    return max(min(open_trials, high), high - arm.length + 1), high


def _confirm(protocol: Protocol, arm: ResolvedArm, search: ArmProgress) -> tuple[int, int]:
    """Count, at least and at most, the trials, before they are planned."""
    confirm = protocol.confirm
    if confirm is None:
        return 0, 0
    competing = search.open + search.done - search.pruned - search.diverged
    configurations = math.ceil(competing / (1 if arm.spec.sampler.proposes else protocol.repeats))
    chosen = min(confirm.top * protocol.searches, configurations)
    return chosen * confirm.seeds, chosen * confirm.largest


def _audit(protocol: Protocol, arm: ResolvedArm, search: ArmProgress) -> tuple[int, int]:
    could_be = search.open if arm.pruner.prunes else 0
    most = protocol.audit * protocol.searches
    return min(most, search.pruned), min(most, search.pruned + could_be)


def _pace(arm: str, progress: Sequence[ArmProgress], overall: float) -> float:
    """Seconds that an epoch of the arm takes; while it has none, those of the study."""
    own = [one for one in progress if one.arm == arm]
    epochs = sum(one.epochs for one in own)
    return sum(one.seconds for one in own) / epochs if epochs else overall
