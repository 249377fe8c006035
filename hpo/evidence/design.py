"""How many confirm seeds each arm is to have: a function of the results alone, so that every worker finds the same.

With `until = "decided"` the seeds come in batches. All arms of the claims begin with one; after each, the arms of the
claims that are not decided get another, up to `most`. A claim is looked at under the seeds that all its arms have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo.evidence.contrasts import ByUnit, Look, compared_arms, sides
from hpo.evidence.decisions import assess, decide, untested
from hpo.evidence.measured import after_the_end, judged_by, measured
from hpo.storage.rows import Cell
from hpo.storage.states import CONFIRM
from hpo.study import StudySpec


def confirm_seeds(study: StudySpec, cells: Sequence[Cell]) -> dict[str, int]:
    """Arm -> how many confirm seeds it is to have as things stand; `cells` are those of all arms."""
    confirm = study.protocol.confirm
    if confirm is None:
        return dict.fromkeys(study.arms, 0)
    wanted = dict.fromkeys(study.arms, confirm.seeds)
    if confirm.until is None:
        return wanted
    done = {arm: _by_seed(judged_by(study, [cell for cell in cells if cell.arm == arm])) for arm in study.arms}
    seeds = [study.protocol.seed_of(CONFIRM, 1, index) for index in range(confirm.largest)]
    arms_of = [{arm for arm, _ in compared_arms(study, claim.comparison)} for claim in study.claims]
    while all(seed in done[arm] for arms in arms_of for arm in arms for seed in seeds[: wanted[arm]]):
        before = dict(wanted)
        for arms, is_open in zip(arms_of, _undecided(study, done, seeds, wanted), strict=True):
            if is_open:
                enough = min(min(before[arm] for arm in arms) + confirm.seeds, confirm.largest)
                wanted |= {arm: max(wanted[arm], enough) for arm in arms}
        if wanted == before:
            break
    return wanted


def _by_seed(cells: Sequence[Cell]) -> dict[int, Cell]:
    return {cell.seed: cell for cell in cells}


def _look(values: Mapping[str, ByUnit]) -> Look:
    return lambda arm, at: values[arm]


def _undecided(
    study: StudySpec, done: Mapping[str, Mapping[int, Cell]], seeds: Sequence[int], number: Mapping[str, int]
) -> list[bool]:
    """Whether each claim is open under the first so many seeds of each arm; further ones would not help one of which
    trials without a value are part."""
    tests, lost = [], []
    for claim in study.claims:
        metric = study.metric_of(claim.comparison)
        values: dict[str, ByUnit] = {}
        for arm, _ in compared_arms(study, claim.comparison):
            units = {seed: [done[arm][seed]] for seed in seeds[: number[arm]]}
            values[arm] = measured([metric], units, after_the_end())[metric.name]
        lost.append(any(len(own) < number[arm] for arm, own in values.items()))
        a, b = sides(study, claim.comparison, _look(values))
        test = assess(claim, a, b, anytime=True)
        tests.append(untested(test) if lost[-1] else test)
    decisions = decide(study.claims, tests)
    return [decision.answer is None and not one for decision, one in zip(decisions, lost, strict=True)]
