"""The words of a report: by which rules the arms are compared, what they spent, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from hpo.evidence.measured import unit_noun
from hpo.evidence.power import POWER
from hpo.evidence.statistics import CONFIDENCE, equal_seeds, proportion
from hpo.report.verdict.results import ArmResult
from hpo.storage.rows import Cell
from hpo.storage.states import CONFIRM, SEARCH
from hpo.study import Extension, StudySpec
from hpo.study.protocol import VARIES, Confirm
from hpo.study.rehearsed import Rehearsal
from hpo.trainers import Source
from hpo.words.nouns import a, count, plural

EQUAL = 1.05
"""Search spendings whose ratio is at most this are called equal."""


SOURCES: dict[Source, str] = {
    "init": "the weights that training begins with",
    "order": "everything that is random while training",
    "split": "which data is held out",
}
"""What may vary from seed to seed, in words."""


def rules(study: StudySpec, baseline: str) -> Iterator[str]:
    """How the arms are compared, one rule after the other; `baseline` is with what, in words."""
    confirm, metric = study.protocol.confirm, study.objective
    unit = study.unit
    last = f"after the last {unit}" if study.protocol.select == "last" else f"of its best {unit}"
    diverged = "ranks last" if metric.worst is None else f"counts with {metric.worst:g}"
    yield (
        f"Search: an arm's best configuration has the {metric.highest} {metric.words} {last} (the mean of its repeats; "
        f'one that diverged {diverged}, a pruned one does not compete). "Search best" is the {metric.highest} of all '
        "that were tried, which is optimistic."
    )
    every = study.trainer.scored_every(study.trial)
    if every > 1:
        yield (
            f"Scored: every {every} {unit}s, after the last one, and where a pruner, a claim or feedback looks; curves "
            "have no more points on validation. Nothing that is chosen depends on it."
        )
    if confirm is None:
        yield (
            "No confirm phase: an arm is judged on validation, by the same trials that its configuration was chosen "
            "from, which is optimistic too. Nothing is scored on test."
        )
    else:
        best = "best configuration" if confirm.top == 1 else f"{confirm.top} best configurations"
        chosen = "" if confirm.top == 1 else f" Of these, the one with the {metric.highest} mean {metric.words} counts."
        searches = study.protocol.searches
        each = "each arm" if searches == 1 else f"each of an arm's {searches} searches"
        yield (
            f"Confirm: the {best} of {each}, trained again with {_seeds(confirm)}, the same for "
            f"every arm, and only then scored on test.{chosen} {_diverged(study)}"
        )
        if {*confirm.vary} != {*VARIES}:
            varied = ", ".join(SOURCES[source] for source in confirm.vary)
            yield f"Only this differs from seed to seed: {varied}."
    yield from _searches(study)
    for extension in study.extensions:
        yield _extension(extension, study.unit, declared=study.protocol.is_sequential)
    level = 1 - CONFIDENCE
    noun = unit_noun(study)
    yield (
        f"Intervals: {100 * CONFIDENCE:g} % t intervals over {plural(noun)}, of means and of differences paired by "
        f"{noun} (to {baseline}). They do not cover the choice of data or the number of comparisons. Up to "
        f"{equal_seeds(level) - 1} values that are all equal show no spread and get no interval."
    )
    if study.claims:
        yield from _claims(study, level)


def _seeds(confirm: Confirm) -> str:
    if confirm.until is None:
        return count(confirm.seeds, "fresh seed")
    return f"fresh seeds, {confirm.seeds} at a time until its claims are decided and {confirm.most} at most"


def _searches(study: StudySpec) -> Iterator[str]:
    """What is compared: ways of searching, or what one search of each happened to choose."""
    searches = study.protocol.searches
    if searches > 1:
        yield (
            f"Searches: every arm searches {searches} times, each time with new proposals and seeds. The arms are "
            "compared as ways of searching: search by search, by the mean over the seeds of what each search chose."
        )
    elif any(arm.search for arm in study.arms.values()):
        yield (
            "One search: the configurations that one search of each arm chose are compared. Another search would have "
            "chosen others, and the verdict might differ; set protocol.searches to compare the searches themselves."
        )


def _claims(study: StudySpec, level: float) -> Iterator[str]:
    """What decides claims."""
    corrected = "corrected by Holm's method for the number of claims"
    if study.protocol.is_sequential:
        yield (
            f"Claims: decided if 1 / e < {level:.2f}, {corrected}; e is the e value of the t statistic mixed over "
            "effects, valid however often one looks, and the intervals of the differences are its confidence sequences."
        )
    else:
        yield (
            f"Claims: decided if the paired t test of the difference has p < {level:.2f}, two-sided and {corrected}. "
            f"How many {plural(unit_noun(study))} are needed, and what they find, is for a power of {100 * POWER:g} %."
        )
    if any(claim.equal or claim.matters for claim in study.claims):
        yield (
            f"Equal, or no difference that matters: if both one-sided tests against what matters have p < {level:.2f}, "
            f"{corrected}."
        )


def rehearsed(rehearsal: Rehearsal | None) -> Iterator[str]:
    """What was found of a trial before the study was launched."""
    if rehearsal is None:
        return
    good, weak = rehearsal.of("good"), rehearsal.of("weak")
    known = "".join(f"; {finding.line}" for finding in weak)
    yield f"Rehearsed: a trial of {rehearsal.arm}, {len(good)} of {count(len(rehearsal.findings), 'test')} good{known}."


def despite(rehearsal: Rehearsal | None) -> Iterator[str]:
    """What was found, and did not keep anybody from launching the study."""
    if rehearsal is not None:
        yield from (f"launched with --despite-rehearsal: {finding.line}" for finding in rehearsal.of("bad"))


def _extension(by: Extension, unit: str, *, declared: bool) -> str:
    added = {"trial": by.more_trials, unit: by.more_epochs, "seed": by.more_seeds}
    more = " and ".join(count(number, f"more {noun}") for noun, number in added.items() if number)
    if declared and by.more_seeds and not (by.more_trials or by.more_epochs):
        return f"Extended by up to {more} of each arm, which the design allows for."
    return (
        f"Extended by {more} when {by.when_done} of {count(by.of_planned, 'trial')} were done: looking at "
        "results before deciding on more makes a false verdict more likely than the p values say."
    )


def _diverged(study: StudySpec) -> str:
    """What a diverged trial counts as in the confirm phase."""
    on_test = [metric for metric in study.metrics.values() if metric.split == "test"]
    counted = [f"{a(metric.base)} of {metric.worst:g}" for metric in on_test if metric.worst is not None]
    without = [metric.base for metric in on_test if metric.worst is None]
    parts = [f"A trial that diverged counts with {' and '.join(counted)}"] if counted else []
    if without:
        which = " and ".join("losses" if name == "loss" else f"means of {name}" for name in without)
        parts.append(f"is left out of {which}" if counted else f"A trial that diverged is left out of {which}")
    return f"{', and '.join(parts)}."


def compute(unit: str, spent: Sequence[int], ratio: float | None, alike: bool, settings: int = 1) -> str:
    """What the arms' search phases spent, and whether that is equal within each setting, or `alike` but for less than a
    trial."""
    if len(spent) == 1:
        return f"Compute: the search phase spent {count(spent[0], unit)}."
    if ratio is None:
        return "Compute: at least one arm has not spent anything yet."
    within = " within each setting" if settings > 1 else ""
    if ratio <= EQUAL:
        return f"Compute: equal{within}; the arms' search phases spent {_between(spent, unit)}."
    if alike:
        spend = f"the arms' search phases spent {_between(spent, unit)}"
        return f"Compute: equal{within} to within one trial; {spend}."
    return (
        f"Compute: NOT equal{within}; the arms' search phases spent {_between(spent, unit)} (ratio {ratio:.2f}). "
        "A difference may be due to that."
    )


def shared(unit: str, cells: Sequence[Cell]) -> str:
    """How many units were not trained, since another trial had trained them already; empty if none."""
    epochs = sum(cell.leader_epochs or 0 for cell in cells if cell.state == "done")
    share = epochs / max(sum(cell.epochs for cell in cells), 1)
    return (
        f" Of all {unit}s {epochs} ({share:.1%}) were taken over from a trial that began the same way."
        if epochs
        else ""
    )


def _between(spent: Sequence[int], unit: str) -> str:
    low, high = min(spent), max(spent)
    return f"{count(low, unit)} each" if low == high else f"{low} to {high} {unit}s"


def devices_mixed(cells: Sequence[Cell], devices: Mapping[str, str]) -> str:
    """A warning if trials of one phase ran on different kinds of device; `devices` is by worker."""
    mixed = []
    for phase in (SEARCH, CONFIRM):
        done = [cell for cell in cells if cell.phase == phase and cell.state == "done" and cell.worker in devices]
        kinds = Counter(devices[cell.worker or ""] for cell in done)
        if len(kinds) > 1:
            mixed.append(f"{phase} phase {', '.join(f'{n} on {kind}' for kind, n in kinds.most_common())}")
    if not mixed:
        return ""
    return (
        f"Different kinds of device: {'; '.join(mixed)}. The same trial gives different numbers on each, so part of "
        "a difference may be due to that."
    )


def unfinished(arm: ArmResult) -> str:
    """What is still to come for an arm before it can be judged; empty if nothing is."""
    if not arm.search.cells:
        return f"{arm.name}: the search phase has not begun"
    for phase, result in (("search", arm.search), ("confirm", arm.confirm)):
        if result.open:
            return f"{arm.name}: {phase} phase, {result.open} of {count(result.cells, 'trial')} not done yet"
    return ""


def audits(arm: ArmResult) -> str:
    """Whether pruned trials are still to be run to their end, which no claim waits for."""
    if not arm.audit.open:
        return ""
    return f"{arm.name}: audit of the pruner, {arm.audit.open} of {count(arm.audit.cells, 'trial')} not done yet"


def missing_trials(arm: ArmResult, stopped_early: str | None) -> str:
    """Why an arm can't be judged whatever is still to come; empty if it can."""
    if stopped_early:
        return "the study was stopped early"
    failed = arm.search.failed + arm.confirm.failed
    return f"{count(failed, 'trial')} of {arm.name} failed" if failed else ""


def failures(arm: ArmResult) -> Iterator[str]:
    """What was tried in an arm and came to nothing, without an error."""
    for phase, result in (("search", arm.search), ("confirm", arm.confirm), ("audit", arm.audit)):
        if result.diverged:
            why = f", {result.too_large} of them because the device had too little memory" if result.too_large else ""
            rate = _rate(result.diverged, result.finished + result.diverged) if phase == "confirm" else ""
            yield f"{arm.name}: {phase} phase, {result.diverged} of {count(result.cells, 'trial')} diverged{rate}{why}"
    if arm.configuration is None and arm.search.cells and not arm.search.open:
        yield f"{arm.name}: no configuration finished, so the arm has no result"


def _rate(diverged: int, of: int) -> str:
    low, high = proportion(diverged, of)
    return f": {100 * diverged / of:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def left_out(study: StudySpec, cells: Sequence[Cell], reported: Sequence[Cell]) -> Iterator[str]:
    """What was not begun in time; and what was trained after a search that has been completed later, otherwise."""
    kept = {cell.id for cell in reported}
    for arm in study.arms:
        search = [cell for cell in cells if (cell.arm, cell.phase) == (arm, SEARCH)]
        late = [cell for cell in search if cell.id not in kept and not cell.ended]
        if late:
            yield f"{arm}: the time limit ended its search, {len(late)} of {count(len(search), 'trial')} did not start"
        former = [cell for cell in cells if cell.arm == arm and cell.ended and cell.id not in kept]
        if former:
            yield f"{arm}: {count(len(former), 'trial')} of an earlier choice, left out after the search was completed"
