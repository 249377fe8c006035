"""What a study would run: arms, cells, epochs, what is searched, what it costs. Known from the file alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.evidence.decisions import LEVEL
from hpo.evidence.measured import unit_noun
from hpo.evidence.power import POWER, smallest_effect
from hpo.search.space import Range, Values
from hpo.study import StudySpec
from hpo.study.arm import Arm
from hpo.study.checks.budgets import ArmPlan, arm_plans, units_at_most
from hpo.study.doubts import doubts
from hpo.study.rehearsed import Rehearsal
from hpo.words.durations import how_long
from hpo.words.nouns import count


def plan_summary(
    study: StudySpec, rehearsal: Rehearsal | None = None, missing_here: Iterable[str] = ()
) -> RenderableType:
    """The plan of a study for a person to look over, 80 columns wide; what it takes in hours if it was rehearsed.

    `missing_here` is what it runs and this machine lacks, a line for each.
    """
    plans, confirm, searches = arm_plans(study), study.protocol.confirm, study.protocol.searches
    again = confirm.top * confirm.largest if confirm else 0  # trials of a search's confirm phase
    units = units_at_most(study)
    cells = searches * sum(plan.cells + again for plan in plans)
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("arm", "sampler", "pruner"):
        view.add_column(name, overflow="fold")
    noun = f"{study.unit}s"
    for name in ("trials", f"{noun} each", f"{noun} at most"):
        view.add_column(name, justify="right")
    for name, row in _by_way(study, {plan.arm: _row(study, plan) for plan in plans}):
        view.add_row(Text(name), *row)
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, ranges in _by_way(study, {arm: tuple(_searched(spec)) for arm, spec in study.arms.items()}):
        alike.setdefault(ranges, []).append(name)
    lines: list[Text] = []
    for ranges, names in alike.items():
        who, verb = ", ".join(names), "searches" if len(names) == 1 else "search"
        lines.append(Text(f"\n{who} {verb}" if ranges else f"\nnothing is searched in {who}", style="bold"))
        lines += [Text(f"  {line}") for line in ranges]
    if study.settings:
        lines.append(Text(f"\nthe settings: {', '.join(study.settings)}"))
    return Group(
        Text(study.title or study.name, style="bold"),
        Text(f"study {study.name}, {_arms(study)}, baseline {study.protocol.baseline or study.baseline}\n"),
        view,
        *lines,
        Text(f"\n{_confirm(study)}"),
        Text(f"claims: {len(study.claims)}, printed numbers: {len(study.published)}"),
        *(Text(line) for line in _can_decide(study)),
        *(Text(f"doubt: {line}", style="yellow") for line in (*doubts(study), *missing_here)),
        Text(study.trainer.summary(study.trial)),
        Text(f"cost: {_cost(study, units, cells)}"),
        *([] if rehearsal is None else [Text(_rehearsed(rehearsal, cells, sum(units.values())))]),
    )


def _arms(study: StudySpec) -> str:
    """How many there are, and in how many settings each of them."""
    arms = count(len({spec.way or arm for arm, spec in study.arms.items()}), "arm")
    return f"{arms} in {count(len(study.settings), 'setting')}" if study.settings else arms


def _row(study: StudySpec, plan: ArmPlan) -> tuple[str, ...]:
    """What the table says of an arm."""
    kinds = (study.arms[plan.arm].sampler.kind, study.arm(plan.arm).pruner.kind)
    return *kinds, str(plan.cells), str(plan.epochs), str(plan.budget_epochs)


def _by_way(study: StudySpec, said: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is said of each arm; once, under the name without the setting, where it is the same in all settings."""
    ways: dict[str, list[str]] = {}
    for arm, spec in study.arms.items():
        ways.setdefault(spec.way or arm, []).append(arm)
    for way, arms in ways.items():
        texts = {said[arm] for arm in arms}
        yield from [(way, texts.pop())] if len(texts) == 1 else [(arm, said[arm]) for arm in arms]


def _searched(arm: Arm) -> Iterator[str]:
    """A line for each parameter of an arm."""
    for name, what in arm.parameters.items():
        yield f"{name}  {_range(what.searched)}"


def _range(searched: Range | Values) -> str:
    if isinstance(searched, Values):
        return "one of " + ", ".join(str(label) for label in searched.labels())
    notes = [text for text, on in (("log", searched.log), ("whole numbers", searched.integer)) if on]
    if searched.step is not None:
        notes.append(f"steps of {searched.step:g}")
    return f"{searched.low:g} to {searched.high:g}" + (f" ({', '.join(notes)})" if notes else "")


def _confirm(study: StudySpec) -> str:
    confirm = study.protocol.confirm
    if confirm is None:
        return "no confirm phase: arms are compared on validation, by the search phase alone"
    best = "best configuration" if confirm.top == 1 else f"best {confirm.top} configurations"
    searches = study.protocol.searches
    each = "each arm" if searches == 1 else f"each of an arm's {searches} searches"
    seeds = count(confirm.seeds, "fresh seed")
    if confirm.until is not None:
        seeds = f"{seeds} at a time, {confirm.most} at most, until its claims are decided"
    return f"then the {best} of {each} with {seeds}, scored on test"


def _can_decide(study: StudySpec) -> Iterator[str]:
    """What the claims can find, in standard deviations of a paired difference; and what they are about."""
    protocol, claims = study.protocol, len(study.claims)
    if not claims:
        return
    noun, n = unit_noun(study), protocol.searches
    if n == 1:
        n = protocol.repeats if protocol.confirm is None else protocol.confirm.seeds
    if protocol.is_sequential and protocol.confirm is not None:
        yield f"what they can decide: they are tested after every {n} seeds, up to {protocol.confirm.most} of them"
    elif n < 2:
        yield f"what they can decide: nothing, with {count(n, noun)}; give two or more, better five"
    else:
        least = smallest_effect(n, LEVEL / claims)
        yield (
            f"what they can decide: with {count(n, noun)} and {count(claims, 'claim')}, a true difference of "
            f"{least:.1f} standard deviations is found {100 * POWER:g} % of the time. The standard deviation is that "
            f"of the difference between two arms from {noun} to {noun}."
        )
    if protocol.searches == 1 and protocol.confirm is not None and any(arm.search for arm in study.arms.values()):
        many = max(2, protocol.confirm.largest)
        yield (
            "what they are about: the configurations that one search of each arm chooses. To compare the ways of "
            f"searching, set protocol.searches = {many} and protocol.confirm.seeds = 1: that is as many confirm trials "
            f"but {many} searches, which cost no more than the one if each gets a smaller budget."
        )


def _cost(study: StudySpec, units: Mapping[str, int], cells: int) -> str:
    """Trials, their units, and what these take besides where the trainer knows it: images and optimizer steps."""
    parts = [f"at most {sum(units.values()):,} {study.unit}s in all, in {cells:,} trials if none is pruned"]
    amounts: Counter[str] = Counter()
    for arm, length in units.items():
        amounts.update(study.trainer.amounts(study.arm(arm).trial, length))
    if amounts:
        parts.append(", ".join(f"{_short(amount)} {name}" for name, amount in amounts.items()) + _of_one(study))
    return "; ".join(parts)


def _rehearsed(rehearsal: Rehearsal, cells: int, units: int) -> str:
    """What it takes of time and room, as a trial of one arm was measured on one machine."""
    took = (
        f"at most {how_long(rehearsal.seconds(cells, units))} of one worker such as was rehearsed with {rehearsal.arm}"
    )
    parts = [took] if rehearsal.units else []
    if rehearsal.checkpoint_bytes is not None:
        parts.append(f"{_bytes(rehearsal.checkpoint_bytes)} of checkpoint for each trial under way")
    bad = len(rehearsal.of("bad"))
    parts += [f"{count(bad, 'bad thing')} found: hpo rehearse shows it"] if bad else []
    return f"rehearsed: {'; '.join(parts)}"


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def _of_one(study: StudySpec) -> str:
    """What all arms' units take alike."""
    of_one = [study.trainer.amounts(study.arm(arm).trial, 1).items() for arm in study.arms]
    alike = [f"{amount:,} {name}" for name, amount in of_one[0] if all((name, amount) in other for other in of_one)]
    return f" ({alike[0]} per {study.unit})" if alike else ""


def _short(number: int) -> str:
    """`950`, `12,300`, `1.2 million`."""
    return f"{number / 1e6:,.1f} million" if number >= 1_000_000 else f"{number:,}"
