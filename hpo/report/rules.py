"""The words of a report: by which rules the arms are compared, what they spent, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hpo.report.numbers import count
from hpo.report.results import ArmResult
from hpo.report.statistics import CONFIDENCE
from hpo.study import StudySpec

EQUAL = 1.05
"""Search spendings whose ratio is at most this are called equal."""


def rules(study: StudySpec) -> Iterator[str]:
    """How the arms are compared, one rule after the other."""
    confirm = study.protocol.confirm
    yield (
        "Search: an arm's best configuration has the highest validation accuracy after the last epoch, as the "
        "mean of its repeats, of which one that diverged counts as 0. What was pruned does not compete."
    )
    yield '"Search best" is the highest of all that were tried, and therefore optimistic.'
    if confirm is None:
        yield (
            "No confirm phase: an arm is judged on validation, by the very trials that its configuration was "
            "chosen by, which is optimistic too. Nothing is scored on test."
        )
    else:
        best = "best configuration" if confirm.top == 1 else f"{confirm.top} best configurations"
        yield (
            f"Confirm: the {best} of each arm, trained again with {count(confirm.seeds, 'fresh seed')}, the same "
            "for every arm, and only then scored on test."
        )
        if confirm.top > 1:
            yield "Of these, the one with the highest mean validation accuracy represents the arm."
        yield "A confirm trial that diverged counts as accuracy 0; it has no loss and is left out of losses."
    yield (
        f"Intervals are {100 * CONFIDENCE:g} % t intervals over seeds, of means and of differences paired by "
        f"seed (to the baseline, {study.baseline}). They do not cover the choice of images, nor the number of "
        "comparisons."
    )
    yield (
        "A claim is supported if the whole interval of its paired difference lies on the claimed side, "
        "contradicted if on the other side, else undecided."
    )


def compute(spent: Sequence[int], ratio: float | None) -> str:
    """What the arms' search phases spent, and whether that is equal."""
    if len(spent) == 1:
        return f"Compute: the search phase spent {count(spent[0], 'epoch')}."
    if ratio is None:
        return "Compute: an arm has not spent anything yet."
    if ratio <= EQUAL:
        return f"Compute: equal; the arms' search phases spent {_between(spent)}."
    return (
        f"Compute: NOT equal; the arms' search phases spent {_between(spent)} (ratio {ratio:.2f}). "
        "A difference may come from that."
    )


def _between(spent: Sequence[int]) -> str:
    low, high = min(spent), max(spent)
    return f"{count(low, 'epoch')} each" if low == high else f"{low} to {high} epochs"


def unfinished(arm: ArmResult) -> str:
    """What is still to come for an arm; empty if nothing is."""
    if not arm.search.cells:
        return f"{arm.name}: search phase not begun"
    for phase, result in (("search", arm.search), ("confirm", arm.confirm)):
        if result.open:
            return f"{arm.name}: {phase} phase, {result.open} of {count(result.cells, 'trial')} not done yet"
    return ""


def failures(arm: ArmResult) -> Iterator[str]:
    """What was tried in an arm and will not come."""
    for phase, result in (("search", arm.search), ("confirm", arm.confirm)):
        if result.failed:
            yield f"{arm.name}: {phase} phase, {result.failed} of {count(result.cells, 'trial')} failed"
        if result.diverged:
            yield f"{arm.name}: {phase} phase, {result.diverged} of {count(result.cells, 'trial')} diverged"
    if arm.configuration is None and arm.search.cells and not arm.search.open:
        yield f"{arm.name}: no configuration finished, so the arm has no result"
